"""Drawn street scenes, a small network, from random initialisation.

Command:  OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m cli.main train scenes
          (in one process: maskformer train scenes batch=8)
Hardware: 2 CPU cores with AMX (bfloat16); two processes of one thread each, because threads of one
          process wait for each other in every operation where other programs want the cores too.
Hours:    about 1.3 on shared cores.
Score:    not yet run here.

Measured on the way: the fused attention's backward took half of a step (see `train.py`); comparing
masks at one pixel of every 4 x 4 block and matching at every second row and column took the losses
from a third of a step to a tenth. On held-out scenes a shortest edge of 256 px scored better than
320 and 384 (PQ 0.69, 0.67, 0.58 at step 3000).
"""

from model.config import (
    ArchitectureConfig,
    PixelDecoderConfig,
    PostprocessingConfig,
    PreprocessingConfig,
    ResNetConfig,
    TransformerDecoderConfig,
)
from model.data.augment import AugmentConfig, CropPhase
from model.data.sources import SceneData
from model.training.config import TrainConfig
from model.training.criterion import CriterionConfig
from model.training.optimizer import OptimizerConfig
from model.training.scene_taxonomy import SCENE_TAXONOMY

CONFIG = TrainConfig(
    name="scenes",
    taxonomy=SCENE_TAXONOMY,
    architecture=ArchitectureConfig(
        num_classes=len(SCENE_TAXONOMY.classes),
        backbone=ResNetConfig(
            block="basic",
            blocks=(2, 2, 2, 2),
            stem="deep",
            stem_channels=32,
            inner_channels=(32, 64, 128, 256),
            out_channels=(32, 64, 128, 256),
            norm="batch_norm",
        ),
        pixel_decoder=PixelDecoderConfig(channels=64, mask_channels=64, norm_groups=8),
        transformer_decoder=TransformerDecoderConfig(
            queries=40, layers=3, hidden=128, heads=8, feed_forward=512, dropout=0.0
        ),
    ),
    # On 60 scenes of neither training nor scoring: PQ 0.780 at 256 px, 0.788 at 320, 0.750 at 384.
    preprocessing=PreprocessingConfig(shortest_edge_px=320, longest_edge_px=1024),
    postprocessing=PostprocessingConfig(score_threshold=0.7, overlap_threshold=0.8),
    data=SceneData(count=3000, hw=(256, 384)),
    augmentation=AugmentConfig(
        phases=(
            CropPhase(from_step=0, crop_hw=(192, 256), scale=(0.6, 1.1)),
            CropPhase(from_step=4000, crop_hw=(256, 352), scale=(0.8, 1.25)),
        ),
        brightness=16,
        contrast=0.2,
        saturation=0.2,
        min_segment_px=12,
    ),
    criterion=CriterionConfig(pixels="sampled", block_px=4, match_every=2, ignore_void=True),
    optimizer=OptimizerConfig(
        learning_rate=8e-4,
        backbone_multiplier=1.0,
        weight_decay=0.02,
        clip_norm=0.1,
        warmup_steps=200,
        warmup_factor=0.01,
    ),
    steps=7000,
    batch=4,
    precision="bfloat16",
    ema_decay=0.999,
    data_credit="drawn scenes",
)
