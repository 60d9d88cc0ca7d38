"""What one answer is asked for, checked against what the model can give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, Unpack

from model.artifact import Manifest
from model.config import ScoresAt
from model.errors import InvalidParameterError, UnavailableModeError
from model.structures import Mode

# An error repeats so many unknown names, so many letters of each.
_ECHOED, _ECHO = 5, 60

_Threshold = Literal["score_threshold", "overlap_threshold", "mask_threshold"]
# The thresholds that a mode reads; naming another one is an error, not silence.
_USED: dict[Mode, tuple[_Threshold, ...]] = {
    "panoptic": ("score_threshold", "overlap_threshold", "mask_threshold"),
    "semantic": (),
    "instance": ("score_threshold", "mask_threshold"),
}


class Wishes(TypedDict, total=False):
    """What a caller may ask beside the mode; absent or None is the artifact's default.

    Attributes:
        score_threshold: in [0, 1].
        overlap_threshold: in [0, 1].
        mask_threshold: strictly between 0 and 1.
        classes: names to keep; a name that several classes share keeps all of them.
    """

    score_threshold: float | None
    overlap_threshold: float | None
    mask_threshold: float | None
    classes: Sequence[str] | None


@dataclass(frozen=True)
class AnswerOptions:
    """The keyword arguments of `model.inference.postprocess.postprocess`, complete and valid."""

    mode: Mode
    is_thing: tuple[bool, ...]
    score_threshold: float
    overlap_threshold: float
    mask_threshold: float
    scores_at: ScoresAt
    classes: frozenset[int] | None


def resolve_options(
    manifest: Manifest, mode: str | None = None, **wishes: Unpack[Wishes]
) -> AnswerOptions:
    """Fill in the model's defaults and refuse what it cannot do.

    Args:
        manifest: of the model.
        mode: panoptic, semantic or instance.
        **wishes: see `Wishes`.

    Raises:
        UnavailableModeError: not a mode of this model; the message lists those.
        InvalidParameterError: a threshold out of range or not used by the mode, an unknown name.
    """
    chosen = _mode(mode, manifest)
    classes = wishes.get("classes")
    return AnswerOptions(
        mode=chosen,
        is_thing=tuple(c.is_thing for c in manifest.taxonomy.classes),
        score_threshold=_threshold("score_threshold", chosen, manifest, wishes),
        overlap_threshold=_threshold("overlap_threshold", chosen, manifest, wishes),
        mask_threshold=_threshold("mask_threshold", chosen, manifest, wishes),
        scores_at=manifest.postprocessing.scores_at,
        classes=None if classes is None else _class_indices(classes, manifest),
    )


def _mode(mode: str | None, manifest: Manifest) -> Mode:
    if mode is None:
        return manifest.postprocessing.mode
    for known in manifest.modes:
        if mode == known:
            return known
    raise UnavailableModeError(
        f"expected a mode that this model can give ({', '.join(manifest.modes)}), got {mode!r}"
    )


def _threshold(name: _Threshold, mode: Mode, manifest: Manifest, wishes: Wishes) -> float:
    value = wishes.get(name)
    if value is None:
        return float(getattr(manifest.postprocessing, name))
    if name not in _USED[mode]:
        used = ", ".join(_USED[mode]) or "none"
        raise InvalidParameterError(
            f"expected only thresholds that {mode} mode uses ({used}), got {name}"
        )
    # NaN fails both comparisons.
    if name == "mask_threshold" and not 0 < value < 1:
        raise InvalidParameterError(f"expected {name} above 0 and below 1, got {value}")
    if not 0 <= value <= 1:
        raise InvalidParameterError(f"expected {name} from 0 to 1, got {value}")
    return float(value)


def _class_indices(names: Sequence[str], manifest: Manifest) -> frozenset[int]:
    known, wanted = [c.name for c in manifest.taxonomy.classes], set(names)
    unknown = sorted(wanted.difference(known))
    if unknown or not names:
        got = ", ".join(repr(name[:_ECHO]) for name in unknown[:_ECHOED]) or "an empty list"
        raise InvalidParameterError(f"expected names of classes that this model has, got {got}")
    return frozenset(index for index, name in enumerate(known) if name in wanted)
