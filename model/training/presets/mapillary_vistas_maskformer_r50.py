"""MaskFormer with a ResNet-50 on Mapillary Vistas v1.2, 65 classes.

Command:  maskformer train mapillary_vistas_maskformer_r50 data.root=FOLDER
          (in one process of less memory: batch=4 accumulate=4; in 8: batch=2)
Hardware: the paper's GPUs held 15,761 MB each; not yet run here.
Hours:    not yet run here.
Score:    not yet run here; the paper's is 53.1 mIoU (55.4 with several sizes and flips),
          from a backbone trained on ImageNet-1k.
"""

from model.training.presets._recipes import R50, mapillary_vistas

CONFIG = mapillary_vistas("mapillary_vistas_maskformer_r50", R50)
