"""MaskFormer with a ResNet-50 and 6 encoder layers on COCO panoptic, 75 epochs on one GPU.

Command:  maskformer train coco_panoptic_maskformer_r50_one_gpu data.root=FOLDER
Hardware: one GPU; 4 forward passes make a batch of 16; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; mmdetection reached 46.9 PQ with this batch and as many steps, which is
          a quarter of the paper's pictures (46.5 PQ).
"""

from model.training.criterion import CriterionConfig
from model.training.presets._recipes import R50, coco_panoptic

CONFIG = coco_panoptic("coco_panoptic_maskformer_r50_one_gpu", R50).model_copy(
    update={
        "batch": 4,
        "accumulate": 4,
        "precision": "bfloat16",
        "criterion": CriterionConfig(pixels="sampled", block_px=4),
    }
)
