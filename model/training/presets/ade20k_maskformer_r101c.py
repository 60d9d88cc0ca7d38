"""MaskFormer with a ResNet-101c (deep stem, dilated res5) on ADE20K, 150 classes.

Command:  maskformer train ade20k_maskformer_r101c data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=4; in 8: batch=2)
Hardware: the paper's GPUs held 4,968 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 46.0 mIoU (48.1 with several sizes and flips),
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R101C, ade20k

CONFIG = ade20k("ade20k_maskformer_r101c", R101C)
