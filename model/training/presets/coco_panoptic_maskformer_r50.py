"""MaskFormer with a ResNet-50 and 6 encoder layers on COCO panoptic, 133 classes.

Command:  maskformer train coco_panoptic_maskformer_r50 data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=16; in 8: batch=8)
Hardware: the paper's GPUs held 22,634 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 46.5 PQ,
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R50, coco_panoptic

CONFIG = coco_panoptic("coco_panoptic_maskformer_r50", R50)
