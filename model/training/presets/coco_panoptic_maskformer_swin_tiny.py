"""MaskFormer with a Swin-T on COCO panoptic, 133 classes.

Command:  maskformer train coco_panoptic_maskformer_swin_tiny data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=16; in 8: batch=8)
Hardware: the paper's GPUs held 20,023 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 47.7 PQ,
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import SWIN_TINY, coco_panoptic

CONFIG = coco_panoptic("coco_panoptic_maskformer_swin_tiny", SWIN_TINY)
