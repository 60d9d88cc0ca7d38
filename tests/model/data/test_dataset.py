import numpy as np

from model.data.augment import AugmentConfig, CropPhase
from model.data.dataset import TrainingStream
from model.data.example import Example


class Numbered:
    """Five pictures whose pixels are their number."""

    def __len__(self) -> int:
        return 5

    def name(self, index: int) -> str:
        return f"picture {index}"

    def __getitem__(self, index: int) -> Example:
        return Example(np.full((9, 9, 3), index, np.uint8), np.zeros((9, 9), np.int32), ())


def stream(seed: int = 0) -> TrainingStream:
    phases = (CropPhase(crop_hw=(4, 4)), CropPhase(from_step=3, crop_hw=(6, 6), scale=(1, 1)))
    return TrainingStream(Numbered(), AugmentConfig(phases=phases), pictures_per_step=2, seed=seed)


def test_every_picture_comes_once_per_epoch_in_another_order() -> None:
    crops = stream()
    epochs = [[crops[5 * epoch + i].name for i in range(5)] for epoch in range(6)]
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1


def test_a_position_gives_the_same_crop_in_whatever_order_it_is_asked_for() -> None:
    forwards, backwards = stream(), stream()
    later = {p: backwards[p] for p in reversed(range(12))}
    for position in range(12):
        crop = forwards[position]
        assert crop.name == later[position].name
        np.testing.assert_array_equal(crop.example.image, later[position].example.image)


def test_another_seed_gives_another_order() -> None:
    names = [[stream(seed)[p].name for p in range(20)] for seed in (0, 1)]
    assert names[0] != names[1]


def test_phases_change_at_their_step() -> None:
    crops = stream()
    assert crops[5].example.panoptic.shape == (4, 4)
    assert crops[6].example.panoptic.shape == (6, 6)  # position 6 begins step 3
