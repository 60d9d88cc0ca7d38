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
        CheckpointError: a key has no row, or one of three parts is missing or misshapen.
    """
    renamed: dict[str, Tensor] = {}
    thirds: dict[str, dict[int, tuple[str, Tensor]]] = {}
    unknown = []
    for key, tensor in state.items():
        row, match = _find(key, table, ours=False)
        if row is None or match is None:
            unknown.append(key)
        elif row.part is None:
            renamed[row.ours.format(**match.groupdict())] = tensor
        else:
            thirds.setdefault(row.ours.format(**match.groupdict()), {})[row.part] = key, tensor
    if unknown:
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise CheckpointError(f"expected a MaskFormer's keys, got surplus key {unknown[0]}{others}")
    return renamed | {name: _stack(name, parts, table) for name, parts in thirds.items()}


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


def their_name(key: str, table: Sequence[Row], part: int = 0) -> str:
    """Our name as theirs, for messages.

    Args:
        key: our name.
        table: as in `to_ours`.
        part: which third, where they store it in three.

    Returns:
        their name, or ours where they have none.
    """
    for row in table:
        match = row.our_pattern.fullmatch(key)
        if match and row.part in (None, part):
            return row.theirs.format(**match.groupdict())
    return key


def _find(key: str, table: Iterable[Row], *, ours: bool) -> tuple[Row | None, re.Match[str] | None]:
    for row in table:
        match = (row.our_pattern if ours else row.their_pattern).fullmatch(key)
        if match:
            return row, match
    return None, None


def _stack(name: str, parts: Mapping[int, tuple[str, Tensor]], table: Sequence[Row]) -> Tensor:
    for part in range(3):
        if part not in parts:
            missing = their_name(name, table, part)
            raise CheckpointError(f"expected query, key and value, got missing key {missing}")
    tensors = [parts[part][1] for part in range(3)]
    first, *others = (tuple(tensor.shape) for tensor in tensors)
    for part, shape in enumerate(others, 1):
        if shape != first or not shape:
            raise CheckpointError(
                f"{parts[part][0]}: expected shape {first} as of {parts[0][0]}, got {shape}"
            )
    return torch.cat(tensors)


def _compile(template: str) -> re.Pattern[str]:
    pattern = re.escape(template)
    for field, expression in _FIELDS.items():
        pattern = pattern.replace(re.escape(field), expression)
    return re.compile(pattern)
