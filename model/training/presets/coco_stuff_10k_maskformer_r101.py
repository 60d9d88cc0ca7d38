"""MaskFormer with a ResNet-101 on COCO-Stuff 10k, 171 classes.

Command:  maskformer train coco_stuff_10k_maskformer_r101 data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=8; in 8: batch=4)
Hardware: the paper's GPUs held 10,091 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 38.1 mIoU (39.8 with several sizes and flips),
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R101, coco_stuff_10k

CONFIG = coco_stuff_10k("coco_stuff_10k_maskformer_r101", R101)
