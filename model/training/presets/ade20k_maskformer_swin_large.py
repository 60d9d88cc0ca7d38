"""MaskFormer with a Swin-L (window 12) on ADE20K, 150 classes.

Command:  maskformer train ade20k_maskformer_swin_large data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=4; in 8: batch=2)
Hardware: the paper's GPUs held 18,144 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 54.1 mIoU (55.6 with several sizes and flips),
          from a backbone trained on ImageNet-22k.
"""

from model.training.presets._recipes import SWIN_LARGE, ade20k

CONFIG = ade20k("ade20k_maskformer_swin_large", SWIN_LARGE, crop_px=640)
