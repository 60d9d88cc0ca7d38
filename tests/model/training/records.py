"""The losses that the original implementation computed; see tests/data/training/README.md."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.data.collate import Batch, Target
from tests.model.training.pictures import batch_of

_FOLDER = Path(__file__).parents[2] / "data" / "training"
NAMES = ("A", "B", "D")


@dataclass(frozen=True)
class Record:
    """Inputs of the criterion, and what must come out."""

    class_logits: Tensor  # (L, B, Q, K+1)
    mask_logits: Tensor  # (L, B, Q, h, w)
    batch: Batch
    losses: dict[str, list[float]]  # by name, L each
    costs: list[list[np.ndarray]]  # [layer][image] (Q, N)
    pairs: list[list[tuple[np.ndarray, np.ndarray]]]  # [layer][image] query, target


def load_record(name: str) -> Record:
    arrays = np.load(_FOLDER / "records.npz")
    facts = json.loads((_FOLDER / "records.json").read_text(encoding="utf-8"))[name]
    masks = [torch.from_numpy(arrays[f"{name}.{i}.masks"]) for i in range(facts["images"])]
    hw = max(m.shape[1] for m in masks), max(m.shape[2] for m in masks)
    padded = [F.pad(m, (0, hw[1] - m.shape[2], 0, hw[0] - m.shape[1])) for m in masks]
    labels = [torch.from_numpy(arrays[f"{name}.{i}.labels"]) for i in range(facts["images"])]
    targets = [Target(label, mask) for label, mask in zip(labels, padded, strict=True)]

    def each(key: str) -> list[list[np.ndarray]]:
        images = range(facts["images"])
        return [[arrays[f"{name}.{i}.{layer}.{key}"] for i in images] for layer in facts["layers"]]

    queries, indices = each("query_idx"), each("target_idx")
    return Record(
        torch.from_numpy(arrays[f"{facts['run']}.class_logits"]),
        torch.from_numpy(arrays[f"{facts['run']}.mask_logits"]),
        batch_of(targets, hw),
        {key: facts[key] for key in ("class", "mask", "dice")},
        each("cost"),
        [list(zip(*row, strict=True)) for row in zip(queries, indices, strict=True)],
    )
