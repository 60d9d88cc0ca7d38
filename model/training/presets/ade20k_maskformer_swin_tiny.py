"""MaskFormer with a Swin-T on ADE20K, 150 classes.

Command:  maskformer train ade20k_maskformer_swin_tiny data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=4; in 8: batch=2)
Hardware: the paper's GPUs held 5,292 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 46.7 mIoU (48.8 with several sizes and flips),
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import SWIN_TINY, ade20k

CONFIG = ade20k("ade20k_maskformer_swin_tiny", SWIN_TINY)
