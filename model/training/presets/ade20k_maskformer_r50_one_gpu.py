"""MaskFormer with a ResNet-50 on ADE20K, 150 classes, on one GPU.

Command:  maskformer train ade20k_maskformer_r50_one_gpu data.root=FOLDER
Hardware: one GPU; 4 forward passes make the paper's batch of 16; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's recipe, from which this differs in number format and in
          comparing masks at sampled pixels, has 44.5 mIoU.
"""

from model.training.criterion import CriterionConfig
from model.training.presets._recipes import R50, ade20k

CONFIG = ade20k("ade20k_maskformer_r50_one_gpu", R50).model_copy(
    update={
        "batch": 4,
        "accumulate": 4,
        "precision": "bfloat16",
        "criterion": CriterionConfig(pixels="sampled", block_px=4),
    }
)
