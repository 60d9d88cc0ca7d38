"""What training reads: sources of examples, and the endless stream of crops drawn from one."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from model.data.augment import AugmentConfig, augment
from model.data.example import Example


class ExampleSource(Protocol):
    """A fixed, finite list of annotated pictures that several processes may read at once."""

    def __len__(self) -> int:
        """Number of pictures."""
        ...

    def __getitem__(self, index: int) -> Example:
        """The picture at `index`, always the same."""
        ...

    def name(self, index: int) -> str:
        """What a person calls that picture: a file name or a seed."""
        ...


@dataclass(frozen=True)
class Crop:
    """One augmented picture of the stream, and what to call it in a message."""

    example: Example
    name: str


class TrainingStream:
    """Position in the run -> augmented crop, as a pure function of (seed, position).

    Nothing is remembered between calls: any worker can compute any position, and a resumed run
    sees exactly the pictures that the uninterrupted one would have seen.

    Args:
        source: the pictures; every one is seen once before any is seen again.
        augmentation: how crops are drawn.
        pictures_per_step: how many positions one optimizer step takes; fixes the phase.
        seed: of the order and of all augmentation.
    """

    def __init__(
        self,
        source: ExampleSource,
        augmentation: AugmentConfig,
        pictures_per_step: int,
        seed: int,
    ) -> None:
        self._source = source
        self._augmentation = augmentation
        self._pictures_per_step = pictures_per_step
        self._seed = seed
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def __getitem__(self, position: int) -> Crop:
        """The crop at `position` of the run."""
        epoch, place = divmod(position, len(self._source))
        if epoch != self._epoch:  # a cache only: the order depends on nothing but the epoch
            rng = np.random.default_rng((self._seed, 0, epoch))
            self._order, self._epoch = rng.permutation(len(self._source)), epoch
        index = int(self._order[place])
        rng = np.random.default_rng((self._seed, 1, position))
        phase = self._augmentation.phase_at(position // self._pictures_per_step)
        example = augment(self._source[index], rng, phase, self._augmentation)
        return Crop(example, self._source.name(index))
