"""MaskFormer with a ResNet-50 on ADE20K, 847 classes.

Command:  maskformer train ade20k_full_maskformer_r50 data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=4; in 8: batch=2)
Hardware: the paper's GPUs held 6,529 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 16.0 mIoU,
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R50, ade20k_full

CONFIG = ade20k_full("ade20k_full_maskformer_r50", R50)
