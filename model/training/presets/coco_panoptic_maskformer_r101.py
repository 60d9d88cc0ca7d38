"""MaskFormer with a ResNet-101 and 6 encoder layers on COCO panoptic, 133 classes.

Command:  maskformer train coco_panoptic_maskformer_r101 data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=16; in 8: batch=8)
Hardware: the paper's GPUs held 27,358 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 47.6 PQ,
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R101, coco_panoptic

CONFIG = coco_panoptic("coco_panoptic_maskformer_r101", R101)
