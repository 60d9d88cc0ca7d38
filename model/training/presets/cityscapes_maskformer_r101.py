"""MaskFormer with a ResNet-101 on Cityscapes, 19 classes.

Command:  maskformer train cityscapes_maskformer_r101 data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=4; in 8: batch=2)
Hardware: the paper's GPUs held 6,960 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 78.5 mIoU (80.3 with several sizes and flips),
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R101, cityscapes

CONFIG = cityscapes("cityscapes_maskformer_r101", R101)
