"""MaskFormer with a Swin-B (window 12) on COCO panoptic, 133 classes.

Command:  maskformer train coco_panoptic_maskformer_swin_base data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=16; in 8: batch=8)
Hardware: the paper's GPUs held 24,411 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 51.8 PQ,
          from a backbone trained on ImageNet-22k.
"""

from model.training.presets._recipes import SWIN_BASE, coco_panoptic

CONFIG = coco_panoptic("coco_panoptic_maskformer_swin_base", SWIN_BASE)
