"""MaskFormer with a ResNet-50 and 6 encoder layers on ADE20K panoptic, 150 classes.

Command:  maskformer train ade20k_panoptic_maskformer_r50 data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=4; in 8: batch=2)
Hardware: the paper's GPUs held 15,899 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 34.7 PQ,
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R50, ade20k_panoptic

CONFIG = ade20k_panoptic("ade20k_panoptic_maskformer_r50", R50)
