"""MaskFormer with a Swin-S on ADE20K, 150 classes.

Command:  maskformer train ade20k_maskformer_swin_small data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=4; in 8: batch=2)
Hardware: the paper's GPUs held 6,330 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 49.8 mIoU (51.0 with several sizes and flips),
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import SWIN_SMALL, ade20k

CONFIG = ade20k("ade20k_maskformer_swin_small", SWIN_SMALL)
