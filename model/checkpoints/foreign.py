"""A model of another implementation, read but not yet ours."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from model.checkpoints.architecture import Hints
from model.config import PreprocessingConfig

ZOO_LICENCE = "CC BY-NC 4.0"  # of the original's released weights and their copies on the hub
UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True, eq=False)
class Foreign:
    """What was found in a file or folder.

    Attributes:
        state: tensors by our names.
        source: where it came from, in words for the model card.
        licence: of the weights, as far as the source tells.
        hints: what the source says that no shape tells.
        hub_name: repository name that the weights go back to, lower case, for example
            `maskformer-swin-tiny-ade`; empty where unknown.
        labels: class names by index; empty where the source has none of its own.
        preprocessing: as the source states it; None where it does not.
        notes: sentences for the person who imports.
        spell: our name of a tensor -> the source's, for messages.
    """

    state: dict[str, Tensor]
    source: str
    licence: str = UNKNOWN_LICENCE
    hints: Hints = field(default_factory=Hints)
    hub_name: str = ""
    labels: tuple[str, ...] = ()
    preprocessing: PreprocessingConfig | None = None
    notes: tuple[str, ...] = ()
    spell: Callable[[str], str] = str
