"""What does a coarser `pad_to` cost, and what does it gain?

    python -m benchmarks.padding [--seconds 0]

An engine with recorded graphs has one per padded size, and only pictures of one padded size share a
batch: the coarser the padding, the fewer sizes and the fuller the batches. The price is pixels that
say nothing, and a network that sees borders it was not trained with. Scores: the bundled model on
drawn scenes of sizes that no padding fits. Sizes and batches: photographs in the usual proportions,
at the shortest edge of the paper's ADE20K models, answered eight at a time out of 32 that wait;
counted, not timed.
"""

from collections import Counter
from dataclasses import replace

import numpy as np

from benchmarks._report import ROOT, Row, read_arguments, report
from model.artifact import Artifact, load_artifact
from model.config import PreprocessingConfig
from model.data.scene_dataset import SceneDataset
from model.evaluation.evaluate import evaluate
from model.inference.preprocess import padded_hw
from model.inference.segmenter import Segmenter

PADS_PX = (32, 64, 128)
SCENES_HW = ((250, 377), (266, 399), (281, 425), (298, 441), (314, 458))
SCENES = 20  # of each size
FIRST_SEED = 2_000_000  # training stays below 100000
# Width over height and how often, upright or across.
PROPORTIONS = {4 / 3: 0.45, 3 / 2: 0.3, 16 / 9: 0.15, 1.0: 0.1}
UPRIGHT, CROPPED = 0.25, 0.3  # of a cropped picture any proportion between 1 and 2 is as likely
PICTURES, WAITING, MAX_BATCH = 4096, 32, 8
PHOTO = PreprocessingConfig(shortest_edge_px=512, longest_edge_px=2048)


def main() -> None:
    arguments = read_arguments(__doc__ or "", seconds=0)
    artifact = load_artifact(arguments.model or ROOT / "weights" / "scenes")
    tables = {
        "scores": [scores(artifact, pad_px) for pad_px in PADS_PX],
        "batches": [batches(pad_px) for pad_px in PADS_PX],
    }
    report("padding", arguments, tables, scenes=SCENES * len(SCENES_HW), pictures=PICTURES)


def scores(artifact: Artifact, pad_px: int) -> Row:
    """Mean scores over the scenes' sizes, every size at its own."""
    sizes = artifact.manifest.preprocessing.model_copy(update={"pad_to_px": pad_px})
    manifest = artifact.manifest.model_copy(update={"preprocessing": sizes})
    padded = replace(artifact, manifest=manifest)
    found = []
    with Segmenter.load(padded) as segmenter:
        for hw in SCENES_HW:
            summary = evaluate(segmenter, SceneDataset(FIRST_SEED, SCENES, hw)).summary()
            found.append((summary["mIoU"], summary["PQ"]))
    miou, pq = np.mean(found, axis=0)
    return {"pad_to_px": pad_px, "mIoU_percent": 100 * float(miou), "PQ_percent": 100 * float(pq)}


def batches(pad_px: int) -> Row:
    """How many sizes there are, how full batches get, and how much of them is padding."""
    config = PHOTO.model_copy(update={"pad_to_px": pad_px})
    sizes = [padded_hw(hw, config) for hw in photographs()]
    true = [padded_hw(hw, config.model_copy(update={"pad_to_px": 1})) for hw in photographs()]
    area, padded = (sum(h * w for h, w in some) for some in (true, sizes))
    waiting, coming, batch_sizes = sizes[:WAITING], iter(sizes[WAITING:]), []
    while len(waiting) == WAITING:
        batch = [hw for hw in waiting if hw == waiting[0]][:MAX_BATCH]
        batch_sizes.append(len(batch))
        for hw in batch:
            waiting.remove(hw)
        waiting += [hw for hw, _ in zip(coming, batch, strict=False)]
    return {
        "pad_to_px": pad_px,
        "padded_sizes": len(set(sizes)),
        "sizes_of_90_percent": _most(sizes, 0.9),
        "pictures_per_batch": float(np.mean(batch_sizes)),
        "padding_percent": 100 * (padded / area - 1),
    }


def photographs() -> list[tuple[int, int]]:
    """Heights and widths, the same every time."""
    random = np.random.default_rng(0)
    ratios = random.choice(list(PROPORTIONS), PICTURES, p=list(PROPORTIONS.values()))
    cropped = random.random(PICTURES) < CROPPED
    ratios = np.where(cropped, random.uniform(1, 2, PICTURES), ratios)
    upright = random.random(PICTURES) < UPRIGHT
    sides = [(1000, round(1000 * ratio)) for ratio in ratios]
    return [(b, a) if turned else (a, b) for (a, b), turned in zip(sides, upright, strict=True)]


def _most(sizes: list[tuple[int, int]], share: float) -> int:
    """How many sizes cover that share of the pictures, the frequent ones first."""
    counts = np.cumsum([count for _, count in Counter(sizes).most_common()])
    return int(np.searchsorted(counts, share * len(sizes))) + 1


if __name__ == "__main__":
    main()
