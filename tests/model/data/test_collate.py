import numpy as np
import torch

from model.config import PreprocessingConfig
from model.data.collate import collate
from model.data.dataset import Crop
from model.data.example import Example, ExampleSegment

NUMBERS = PreprocessingConfig(pad_to_px=8)


def crop(hw: tuple[int, int], segments: tuple[ExampleSegment, ...], name: str = "a") -> Crop:
    """Stripes of the segments' ids from left to right; a last stripe is void."""
    width = hw[1] // (len(segments) + 1)
    ids = np.zeros(hw, np.int32)
    for i, segment in enumerate(segments):
        ids[:, i * width : (i + 1) * width] = segment.id
    image = np.random.default_rng(0).integers(0, 256, (*hw, 3), np.uint8)
    return Crop(Example(image, ids, segments), name)


def test_pictures_are_normalised_and_padded_right_and_bottom() -> None:
    small, large = crop((10, 30), ()), crop((17, 20), ())
    batch = collate([small, large], NUMBERS)
    assert batch.pixels.shape == (2, 3, 24, 32)
    mean, std = torch.tensor(NUMBERS.mean), torch.tensor(NUMBERS.std)
    shown = batch.pixels[0, :, :10, :30].permute(1, 2, 0) * std + mean
    np.testing.assert_allclose(shown.numpy(), small.example.image, atol=1e-3)
    assert (batch.pixels[0, :, 10:] == 0).all() and (batch.pixels[1, :, :, 20:] == 0).all()


def test_training_normalises_as_serving_does() -> None:
    from model.inference.preprocess import preprocess

    picture = crop((64, 96), ())
    numbers = PreprocessingConfig(shortest_edge_px=64, pad_to_px=32)
    served = preprocess(picture.example.image, numbers).pixels
    np.testing.assert_allclose(collate([picture], numbers).pixels[0].numpy(), served, atol=1e-5)


def test_masks_and_valid_pixels() -> None:
    segments = (ExampleSegment(7, 2), ExampleSegment(3, 0), ExampleSegment(5, 1, is_crowd=True))
    batch = collate([crop((8, 16), segments)], NUMBERS)
    target = batch.targets[0]
    assert target.labels.tolist() == [2, 0]  # the crowd is no target
    assert target.masks.dtype == torch.bool and target.masks.shape == (2, 8, 16)
    assert target.masks[0, :, :4].all() and target.masks[0].sum() == 32
    assert batch.valid[0, :, :8].all() and not batch.valid[0, :, 8:].any()  # crowd and void


def test_a_picture_without_segments_has_empty_targets() -> None:
    batch = collate([crop((8, 8), ()), crop((8, 8), (ExampleSegment(1, 0),), "b")], NUMBERS)
    assert batch.targets[0].masks.shape == (0, 8, 8)
    assert batch.targets[0].labels.shape == (0,) and batch.targets[0].labels.dtype == torch.int64
    assert batch.names == ("a", "b")


def test_moving_keeps_everything() -> None:
    batch = collate([crop((8, 8), (ExampleSegment(1, 0),))], NUMBERS)
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.pixels, batch.pixels) and moved.names == batch.names
    assert torch.equal(moved.targets[0].masks, batch.targets[0].masks)
