"""One file per data set layout; each gives an `ExampleSource`.

    ade20k         150 classes: 8-bit PNG; 847 classes: 16-bit TIFF
    cityscapes     labelIds (semantic), instanceIds (panoptic)
    coco_instance  COCO JSON with polygons or run lengths
    coco_panoptic  COCO panoptic JSON and PNG: COCO, ADE20K panoptic, a person's own
    coco_stuff     COCO-Stuff 10k v1.0, MATLAB files
    mapillary      Mapillary Vistas v1.2
    own_folder     pictures, label PNGs and a `classes.json`

`files` reads single files, `label_map` says what label values mean, `labelled` is the source that
all semantic layouts share. Nothing is converted silently: a label value, segment id or category
that is not declared is a `DatasetError` that names the file and the value.
"""
