"""Weights on disk, and weights into a network: completely, or not at all."""

from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.artifact import Artifact
from model.errors import ArtifactError, CheckpointError
from model.network.maskformer import Network, build_network

State = dict[str, Tensor]


def save_weights(state: Mapping[str, Tensor], path: Path | str) -> None:
    """Write named tensors as safetensors, each in its own number format.

    Args:
        state: tensors on any device; tensors that share memory are written once per name.
        path: the file, replaced when it exists.
    """
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    save_file(own, path, metadata={"format": "pt"})
    Path(path).chmod(0o644)  # the library leaves it readable by its owner alone


def read_weights(path: Path | str) -> State:
    """Read a safetensors file, on the CPU, in the number formats it holds.

    Raises:
        CheckpointError: the file is missing, truncated or no safetensors.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"expected weights at {path}, got no such file")
    try:
        state: State = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"expected a whole safetensors file at {path}, got {error}"
        ) from error
    return state


def check_state(
    network: nn.Module, state: Mapping[str, Tensor], spell: Callable[[str], str] = str
) -> None:
    """Refuse weights that would leave a layer random or lose one of theirs.

    Args:
        network: only names and shapes are read, so it may lie on the meta device.
        state: tensors by the network's own names.
        spell: the network's name of a tensor -> the one that the message tells.

    Raises:
        CheckpointError: a key is missing, surplus or misshapen; the first of them is named, a
            shape with what the network expects.
    """
    expected = network.state_dict()
    _refuse("surplus key", [spell(key) for key in state if key not in expected])
    _refuse("missing key", [spell(key) for key in expected if key not in state])
    for key, tensor in state.items():
        if tensor.shape != expected[key].shape:
            raise CheckpointError(
                f"{spell(key)}: expected shape {tuple(expected[key].shape)}, "
                f"got {tuple(tensor.shape)}"
            )


def load_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy weights into the network, converting to its number format.

    Raises:
        CheckpointError: as `check_state`; the network is then unchanged.
    """
    check_state(network, state)
    network.load_state_dict(dict(state), strict=True)


def load_network(artifact: Artifact) -> Network:
    """Build a model folder's network with its weights: float32, CPU, in eval mode.

    Raises:
        ArtifactError: the folder has no weights.
        CheckpointError: they do not fit the architecture that the manifest states.
    """
    path = artifact.find("weights")
    if path is None:
        raise ArtifactError(f"expected a file of role `weights` in {artifact.folder}, got none")
    network = build_network(artifact.manifest.architecture)
    load_state(network, read_weights(path))
    return network.eval()


def _refuse(what: str, keys: list[str]) -> None:
    if keys:
        others = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        raise CheckpointError(f"expected exactly the network's keys, got {what} {keys[0]}{others}")
