"""Drawn scenes as a data set, kept on disk once drawn."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import model.data.scenes as scenes_package
from model.data.example import Example, ExampleSegment
from model.data.scenes import draw_scene
from model.errors import DatasetError

# A scene has a few dozen segments; ids are stored in one byte.
_MAX_SEGMENTS = 128


class SceneDataset:
    """The scenes of consecutive seeds at one size; a scene is drawn when first asked for.

    With a cache folder each scene is drawn once for all runs and processes: `fill` draws ahead
    with several processes, and an interrupted fill continues where it stopped. The folder's name
    holds a hash of the generator's source, so a changed generator never meets old pictures.

    Args:
        first_seed: seed of index 0.
        count: number of scenes.
        hw: height and width in pixels.
        cache_dir: where to keep drawn scenes (4 bytes a pixel); None draws anew each time.
    """

    def __init__(
        self, first_seed: int, count: int, hw: tuple[int, int], cache_dir: Path | None = None
    ) -> None:
        self._first_seed = first_seed
        self._count = count
        self._hw = hw
        self._folder: Path | None = None
        if cache_dir is not None:
            key = f"{generator_hash()}_{hw[0]}x{hw[1]}_{first_seed}_{count}"
            self._folder = cache_dir / f"scenes_{key}"
            self._folder.mkdir(parents=True, exist_ok=True)
            self._create_arrays(self._folder)

    def __len__(self) -> int:
        """Number of scenes."""
        return self._count

    def name(self, index: int) -> str:
        """The scene's seed, in words."""
        return f"scene {self._first_seed + index}"

    def __getitem__(self, index: int) -> Example:
        """The scene of seed `first_seed + index`.

        Raises:
            IndexError: outside the data set.
        """
        if not 0 <= index < self._count:
            raise IndexError(f"expected an index below {self._count}, got {index}")
        if self._folder is None:
            return draw_scene(self._first_seed + index, *self._hw)
        image, ids, rows = (np.load(p, mmap_mode="r+")[index] for p in self._paths(self._folder))
        if rows[0, 0] == 0:  # written last, so a scene is whole or absent
            example = draw_scene(self._first_seed + index, *self._hw)
            image[:], ids[:] = example.image, self._narrow(example)
            table = [(len(example.segments), 0)]
            table += [(s.id, s.class_index) for s in example.segments]
            rows[1 : len(table)] = table[1:]
            rows[0] = table[0]
        segments = (ExampleSegment(int(i), int(c)) for i, c in rows[1 : rows[0, 0] + 1])
        return Example(np.array(image), ids.astype(np.int32), tuple(segments))

    def fill(self, processes: int) -> None:
        """Draw every scene that the cache lacks."""
        missing = self.missing()
        if not missing:
            return
        chunks = [missing[i : i + 16] for i in range(0, len(missing), 16)]
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            for _ in pool.map(self._draw, chunks):
                pass

    def missing(self) -> list[int]:
        """Indices that the cache does not hold yet."""
        if self._folder is None:
            return []
        rows = np.load(self._paths(self._folder)[2], mmap_mode="r")
        return [int(i) for i in np.flatnonzero(rows[:, 0, 0] == 0)]

    def _draw(self, indices: Iterable[int]) -> None:
        for index in indices:
            self[index]

    def _narrow(self, example: Example) -> np.ndarray:
        if len(example.segments) >= _MAX_SEGMENTS or example.panoptic.max() > 255:
            raise DatasetError(
                f"expected fewer than {_MAX_SEGMENTS} segments with ids up to 255 in a scene, "
                f"got {len(example.segments)} up to {example.panoptic.max()}"
            )
        return example.panoptic.astype(np.uint8)

    @staticmethod
    def _paths(folder: Path) -> tuple[Path, Path, Path]:
        return folder / "images.npy", folder / "ids.npy", folder / "segments.npy"

    def _create_arrays(self, folder: Path) -> None:
        """Sparse files of zeros; `segments.npy` row 0 of a scene is its segment count."""
        shapes = ((*self._hw, 3), self._hw, (_MAX_SEGMENTS, 2))
        for path, shape in zip(self._paths(folder), shapes, strict=True):
            if not path.exists():
                partial = path.with_suffix(".partial.npy")
                dtype = np.int16 if path.name == "segments.npy" else np.uint8
                np.lib.format.open_memmap(partial, "w+", dtype, (self._count, *shape))
                partial.replace(path)


def generator_hash() -> str:
    """First 12 hex digits of the sha256 of the scene generator's source files."""
    digest = hashlib.sha256()
    for path in sorted(Path(scenes_package.__path__[0]).rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]
