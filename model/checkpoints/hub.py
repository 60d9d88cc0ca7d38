"""Fetch a model folder from the Hugging Face hub."""

import re
from pathlib import Path

from model.errors import CheckpointError

_DESCRIPTION = ["config.json", "preprocessor_config.json", "README.md"]
_SAFE = ["model*.safetensors", "model.safetensors.index.json"]
_PICKLED = ["pytorch_model*.bin", "pytorch_model.bin.index.json"]


def is_hub_id(source: str) -> bool:
    """Whether this reads `owner/name`, the form of the hub's ids."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source) is not None


def fetch(hub_id: str, revision: str | None = None) -> Path:
    """Download a model, or find it in the local cache.

    `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` are honoured. Weights without pickle are preferred.

    Args:
        hub_id: `owner/name`.
        revision: branch, tag or commit; None = the default branch.

    Returns:
        the folder in the cache; its files may be symlinks.

    Raises:
        CheckpointError: huggingface_hub is missing, or the model cannot be had.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise CheckpointError(
            "expected huggingface_hub for a hub id, got none: install maskformer-serving[train]"
        ) from error
    try:
        folder = Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=_DESCRIPTION + _SAFE)
        )
        if not any(folder.glob("model*.safetensors")):
            snapshot_download(hub_id, revision=revision, allow_patterns=_PICKLED)
    except Exception as error:  # network, authorisation, offline mode: each has its own class
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(
            f"expected {hub_id} from the Hugging Face hub, got {reason}"
        ) from error
    return folder
