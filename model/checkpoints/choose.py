"""Decide classes, sizes and answer defaults: what weights do not hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.checkpoints.foreign import Foreign
from model.checkpoints.presets import Preset, get_preset, guess_preset
from model.checkpoints.taxonomy import mark_things, name_classes, read_taxonomy
from model.config import (
    ArchitectureConfig,
    PostprocessingConfig,
    PreprocessingConfig,
    Taxonomy,
)
from model.errors import CheckpointError

_HUB_EDGES_PX = (800, 1333)  # the hub's ResNet copies state these whatever they were tested at


@dataclass(frozen=True)
class Choice:
    """Everything around the weights, and why it is so."""

    taxonomy: Taxonomy
    preprocessing: PreprocessingConfig
    postprocessing: PostprocessingConfig
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Wishes:
    """What the person who imports asks for; None or empty = decide.

    Attributes:
        preset: name of a data set's preset.
        taxonomy: file with the class list.
        things: names of the countable classes.
        shortest_edge_px: test size, as in `PreprocessingConfig`, but 0 = the picture's own.
        longest_edge_px: as there; likewise the next.
    """

    preset: str | None = None
    taxonomy: Path | None = None
    things: tuple[str, ...] = ()
    shortest_edge_px: int | None = None
    longest_edge_px: int | None = None
    pad_to_px: int | None = None


def choose(foreign: Foreign, architecture: ArchitectureConfig, wishes: Wishes) -> Choice:
    """Decide from the wishes, else from what the source states, else from the paper.

    Args:
        foreign: what was read.
        architecture: read off its weights.
        wishes: of the person who imports.

    Raises:
        CheckpointError: a class list has not as many classes as the weights.
        InvalidParameterError: the preset or a thing has no such name.
    """
    taxonomy, preset, class_notes = _classes(foreign, architecture, wishes)
    taxonomy = mark_things(taxonomy, wishes.things)
    if foreign.labels and len(foreign.labels) != architecture.num_classes:
        class_notes += (
            f"the source names {len(foreign.labels)} classes but its weights have "
            f"{architecture.num_classes}: its names are not used",
        )
    preprocessing, size_notes = _preprocessing(foreign, architecture, preset, wishes)
    return Choice(
        taxonomy=taxonomy,
        preprocessing=preprocessing,
        postprocessing=_postprocessing(architecture, preset, taxonomy),
        notes=(*class_notes, *size_notes),
    )


def _classes(
    foreign: Foreign, architecture: ArchitectureConfig, wishes: Wishes
) -> tuple[Taxonomy, Preset | None, tuple[str, ...]]:
    count = architecture.num_classes
    asked = get_preset(wishes.preset) if wishes.preset else None
    if asked and asked.classes != count and not wishes.taxonomy:
        raise CheckpointError(
            f"expected weights of {asked.classes} classes for the preset {asked.name}, got {count}"
        )
    preset = asked or guess_preset(architecture, foreign.hub_name)
    if wishes.taxonomy:
        taxonomy = read_taxonomy(wishes.taxonomy)
        if len(taxonomy.classes) != count:
            raise CheckpointError(
                f"expected {count} classes in {wishes.taxonomy}, got {len(taxonomy.classes)}"
            )
        same = preset and _agree(preset.taxonomy(), [c.name for c in taxonomy.classes])
        return taxonomy, asked or (preset if same and all(same) else None), ()
    labels = foreign.labels if len(foreign.labels) == count else ()
    if preset is None:
        return _unknown_classes(labels, count)
    if not labels:
        why = "as asked" if asked else f"assumed because the weights have {count} classes"
        return preset.taxonomy(), preset, (f"preset {preset.name}, {why}",)
    return _compare(preset, labels, asked is not None)


def _unknown_classes(
    labels: tuple[str, ...], count: int
) -> tuple[Taxonomy, Preset | None, tuple[str, ...]]:
    names = labels or tuple(f"class_{i}" for i in range(count))
    note = (
        f"no known data set has these {count} classes: all are taken as stuff unless --things or "
        "--taxonomy says which are countable"
    )
    return name_classes("imported", names), None, (note,)


def _compare(
    preset: Preset, labels: tuple[str, ...], is_asked: bool
) -> tuple[Taxonomy, Preset | None, tuple[str, ...]]:
    """Take the preset's classes where the source's own names agree with them."""
    taxonomy = preset.taxonomy()
    same = _agree(taxonomy, labels)
    differing = [i for i, agrees in enumerate(same) if not agrees]
    if not differing:
        return taxonomy, preset, (f"preset {preset.name}: the class names agree with it",)
    first = differing[0]
    example = f"class {first} is {labels[first]!r}, not {taxonomy.classes[first].name!r}"
    if len(differing) > len(labels) // 2:
        note = (
            f"the classes are not those of {preset.name} ({example}): their own names are kept, "
            "all as stuff unless --things or --taxonomy says which are countable"
        )
        return name_classes("imported", labels), preset if is_asked else None, (note,)
    classes = tuple(
        c if agrees else c.model_copy(update={"name": label})
        for c, label, agrees in zip(taxonomy.classes, labels, same, strict=True)
    )
    note = (
        f"preset {preset.name}: {len(differing)} class names differ from it ({example}); the "
        "file's own names are kept"
    )
    return taxonomy.model_copy(update={"classes": classes}), preset, (note,)


def _agree(taxonomy: Taxonomy, labels: Sequence[str]) -> list[bool]:
    """Whether each label shares a synonym with the class of its index, spelling aside."""
    return [
        bool(_synonyms(known.name) & _synonyms(label))
        for known, label in zip(taxonomy.classes, labels, strict=True)
    ]


def _synonyms(name: str) -> set[str]:
    return {re.sub(r"[^a-z0-9]", "", part) for part in re.split(r"[,;]", name.lower())} - {""}


def _preprocessing(
    foreign: Foreign, architecture: ArchitectureConfig, preset: Preset | None, wishes: Wishes
) -> tuple[PreprocessingConfig, tuple[str, ...]]:
    stated = foreign.preprocessing
    chosen = stated or PreprocessingConfig()
    notes = []
    if preset:
        chosen = preset.preprocessing(chosen)
    elif stated is None and wishes.shortest_edge_px is None:
        notes.append("the source states no test size; see --shortest-edge")
    if stated and not wishes.preset and _edges(stated) != _HUB_EDGES_PX:
        shortest, longest = _edges(stated)
        chosen = chosen.model_copy(
            update={"shortest_edge_px": shortest, "longest_edge_px": longest}
        )
    if architecture.kind != "maskformer":
        chosen = chosen.model_copy(update={"pad_to_px": 1})  # the baselines were never padded
    asked = {
        "shortest_edge_px": wishes.shortest_edge_px,
        "longest_edge_px": wishes.longest_edge_px,
        "pad_to_px": wishes.pad_to_px,
    }
    # Only the shortest edge can be 0: it is then left as it is.
    update = {name: value or None for name, value in asked.items() if value is not None}
    chosen = chosen.model_copy(update=update)
    if stated and _sizes(stated) != _sizes(chosen):
        notes.append(f"the source states {_sizes(stated)}; used instead: {_sizes(chosen)}")
    else:
        notes.append(f"test size: {_sizes(chosen)}")
    return chosen, tuple(notes)


def _edges(config: PreprocessingConfig) -> tuple[int | None, int]:
    return config.shortest_edge_px, config.longest_edge_px


def _sizes(config: PreprocessingConfig) -> str:
    edge = config.shortest_edge_px or "own size"
    return f"shortest edge {edge}, longest {config.longest_edge_px}, padded to {config.pad_to_px}"


def _postprocessing(
    architecture: ArchitectureConfig, preset: Preset | None, taxonomy: Taxonomy
) -> PostprocessingConfig:
    can_panoptic = architecture.kind == "maskformer" and "panoptic" in taxonomy.modes
    if preset is None:
        if can_panoptic:
            return PostprocessingConfig(mode="panoptic", scores_at="output")
        return PostprocessingConfig(mode="semantic")
    chosen = preset.postprocessing()
    if chosen.mode != "semantic" and not can_panoptic:
        return chosen.model_copy(update={"mode": "semantic"})
    return chosen
