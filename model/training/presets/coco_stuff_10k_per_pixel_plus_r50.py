"""PerPixelBaseline+ with a ResNet-50 on COCO-Stuff 10k, 171 classes.

Command:  maskformer train coco_stuff_10k_per_pixel_plus_r50 data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=8; in 8: batch=4)
Hardware: the paper's GPUs held 18,227 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 34.2 mIoU (35.8 with several sizes and flips),
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R50, coco_stuff_10k

CONFIG = coco_stuff_10k("coco_stuff_10k_per_pixel_plus_r50", R50, kind="per_pixel_plus")
