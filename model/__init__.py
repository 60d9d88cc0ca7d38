"""Everything MaskFormer: network, inference, checkpoints, data, training, evaluation, export."""
