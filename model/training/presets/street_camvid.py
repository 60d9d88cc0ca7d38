"""A small MaskFormer for CamVid's 11 classes of road scenes, from random initialisation.

Command:  maskformer train street_camvid data.root=FOLDER
          (on a CPU: steps=4000 batch=8)
Hardware: one GPU, or a CPU; not yet run here.
Hours:    not yet run here.
Score:    not yet run here. Others on the test pictures at this resolution: SegNet 46.4-55.6 mIoU,
          ENet 51.3, FC-DenseNet103 66.9.

FOLDER holds `classes.json` and the parts `train` and `val` with `images` and `labels`. The network
has the shape of the `scenes` preset's but for its classes. The data's licence is non-commercial,
and so is that of the weights.
"""

from model.checkpoints.taxonomy import BUNDLED, read_taxonomy
from model.config import PostprocessingConfig, PreprocessingConfig
from model.data.augment import AugmentConfig, CropPhase
from model.data.sources import FolderData
from model.training.config import TrainConfig
from model.training.criterion import CriterionConfig
from model.training.optimizer import OptimizerConfig
from model.training.presets._small import small_network

CONFIG = TrainConfig(
    name="street_camvid",
    taxonomy=read_taxonomy(BUNDLED / "camvid.json"),
    architecture=small_network(num_classes=11, queries=40),
    preprocessing=PreprocessingConfig(shortest_edge_px=360, longest_edge_px=1440),
    postprocessing=PostprocessingConfig(mode="semantic"),
    data=FolderData(root="data/camvid"),
    augmentation=AugmentConfig(
        phases=(CropPhase(crop_hw=(352, 480), scale=(0.6, 2.0), category_limit=0.75),),
        colors="ssd",
        min_segment_px=12,
    ),
    criterion=CriterionConfig(pixels="sampled", block_px=4, ignore_void=True),
    optimizer=OptimizerConfig(
        learning_rate=8e-4,
        backbone_multiplier=1.0,
        weight_decay=0.02,
        clip_norm=0.1,
        warmup_steps=500,
        warmup_factor=0.01,
    ),
    steps=40_000,
    batch=16,
    workers=4,
    precision="bfloat16",
    ema_decay=0.999,
    licence="CC BY-NC 4.0",
    data_credit="CamVid (Brostow et al. 2008; 11 classes; CC BY-NC 4.0)",
)
