"""Tensor names of other implementations, as tables that are read in both directions.

A row pairs our name with theirs. `{i}` and `{j}` stand for a number, `{p}` for the parameter's
own name, `{rest}` for any ending. Where they store query, key and value apart and we store them
stacked, three rows share our name and `part` says which third each one is.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from model.errors import CheckpointError

_FIELDS = {
    "{i}": r"(?P<i>\d+)",
    "{j}": r"(?P<j>\d+)",
    "{p}": r"(?P<p>weight|bias|running_mean|running_var)",
    "{rest}": r"(?P<rest>.+)",
}


@dataclass(frozen=True)
class Row:
    """One line of a table: our name, their name, and which third of ours theirs is."""

    ours: str
    theirs: str
    part: int | None = None

    @cached_property
    def our_pattern(self) -> re.Pattern[str]:
        """Matches our whole name."""
        return _compile(self.ours)

    @cached_property
    def their_pattern(self) -> re.Pattern[str]:
        """Matches their whole name."""
        return _compile(self.theirs)


def respell(state: Mapping[str, Tensor], spell: Callable[[str], str]) -> dict[str, Tensor]:
    """Rename tensors one by one.

    Raises:
        CheckpointError: two of them get one name.
    """
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = spell(key)
        if name in renamed:
            raise CheckpointError(f"expected one tensor for {name}, got {key} besides")
        renamed[name] = tensor
    return renamed


def to_ours(state: Mapping[str, Tensor], table: Sequence[Row]) -> dict[str, Tensor]:
    """Rename tensors to our names, stacking what we store stacked.

    Args:
        state: by their names; every one must have a row.
        table: rows in order of precedence.

    Raises:
        CheckpointError: a key has no row, or one of three parts is missing.
    """
    renamed: dict[str, Tensor] = {}
    thirds: dict[str, dict[int, Tensor]] = {}
    unknown = []
    for key, tensor in state.items():
        row, match = _find(key, table, ours=False)
        if row is None or match is None:
            unknown.append(key)
        elif row.part is None:
            renamed[row.ours.format(**match.groupdict())] = tensor
        else:
            thirds.setdefault(row.ours.format(**match.groupdict()), {})[row.part] = tensor
    if unknown:
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise CheckpointError(f"expected a MaskFormer's keys, got surplus key {unknown[0]}{others}")
    return renamed | {name: _stack(name, parts) for name, parts in thirds.items()}


def to_theirs(state: Mapping[str, Tensor], table: Sequence[Row]) -> dict[str, Tensor]:
    """Rename tensors to their names: the inverse of `to_ours`.

    Raises:
        CheckpointError: one of our tensors has no place there.
    """
    renamed = {}
    for key, tensor in state.items():
        row, match = _find(key, table, ours=True)
        if row is None or match is None:
            raise CheckpointError(f"expected tensors that this format can hold, got {key}")
        if row.part is None:
            renamed[row.theirs.format(**match.groupdict())] = tensor
            continue
        for other in (r for r in table if r.ours == row.ours and r.part is not None):
            third = tensor.chunk(3)[other.part or 0]
            renamed[other.theirs.format(**match.groupdict())] = third
    return renamed


def _find(key: str, table: Iterable[Row], *, ours: bool) -> tuple[Row | None, re.Match[str] | None]:
    for row in table:
        match = (row.our_pattern if ours else row.their_pattern).fullmatch(key)
        if match:
            return row, match
    return None, None


def _stack(name: str, parts: Mapping[int, Tensor]) -> Tensor:
    if set(parts) != {0, 1, 2}:
        raise CheckpointError(
            f"expected query, key and value for {name}, got only {len(parts)} of the three"
        )
    return torch.cat([parts[0], parts[1], parts[2]])


def _compile(template: str) -> re.Pattern[str]:
    pattern = re.escape(template)
    for field, expression in _FIELDS.items():
        pattern = pattern.replace(re.escape(field), expression)
    return re.compile(pattern)
