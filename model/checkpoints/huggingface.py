"""Read a model folder of transformers: config, preprocessor, weights."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from model.checkpoints.architecture import Hints
from model.checkpoints.foreign import UNKNOWN_LICENCE, ZOO_LICENCE, Foreign
from model.checkpoints.huggingface_keys import HUGGING_FACE, from_huggingface
from model.checkpoints.huggingface_preprocessor import read_preprocessor
from model.checkpoints.keys import their_name
from model.checkpoints.torch_file import read_torch
from model.errors import CheckpointError
from model.network.load import read_weights

_GENERIC_LABEL = re.compile(r"LABEL_\d+", re.IGNORECASE)
_ZOO_OWNER = "facebook/"

# What the network takes for granted. An absent field has this value in transformers too.
_EXPECTED_BACKBONE: dict[str, dict[str, Any]] = {
    "swin": {
        "patch_size": 4,
        "num_channels": 3,
        "qkv_bias": True,
        "use_absolute_embeddings": False,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
    },
    "resnet": {"num_channels": 3, "hidden_act": "relu", "downsample_in_first_stage": False},
}
_EXPECTED_BACKBONE["maskformer-swin"] = _EXPECTED_BACKBONE["swin"]
_EXPECTED_DECODER = {"activation_function": "relu"}


def read_huggingface(folder: Path, hub_id: str = "") -> Foreign:
    """Read a folder that `save_pretrained` wrote, of any age.

    Args:
        folder: `config.json`, weights as safetensors or `.bin`, whole or in shards, and
            optionally `preprocessor_config.json`.
        hub_id: where it was downloaded from; empty for a local folder.

    Raises:
        CheckpointError: a file is missing or broken, the model is no MaskFormer, or it has a part
            that the network has not.
    """
    config = _read_json(folder / "config.json")
    backbone, decoder = _check(config)
    state = from_huggingface(_read_state(folder))
    _check_depths(state, backbone, decoder)
    origin = hub_id or str(config.get("_name_or_path") or "")
    preprocessing, notes = read_preprocessor(
        _read_optional_json(folder / "preprocessor_config.json")
    )
    return Foreign(
        state=state,
        source=_source(folder, hub_id, origin),
        licence=ZOO_LICENCE if origin.startswith(_ZOO_OWNER) else _stated_licence(folder),
        hints=_hints(backbone, decoder),
        hub_name=origin.split("/")[-1].lower(),
        labels=_labels(config),
        preprocessing=preprocessing,
        notes=notes,
        spell=partial(their_name, table=HUGGING_FACE),
    )


def _check(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if config.get("model_type") != "maskformer":
        raise CheckpointError(f"expected model_type maskformer, got {config.get('model_type')!r}")
    backbone = config.get("backbone_config") or {}
    decoder = config.get("decoder_config") or {}
    if not isinstance(backbone, dict) or not isinstance(decoder, dict):
        raise CheckpointError("expected objects as backbone_config and decoder_config, got others")
    kind = backbone.get("model_type", "swin")
    if kind not in _EXPECTED_BACKBONE:
        raise CheckpointError(f"expected a swin or resnet backbone, got {kind!r}")
    _expect(backbone, _EXPECTED_BACKBONE[kind], f"{kind} backbone")
    _expect(decoder, _EXPECTED_DECODER, "decoder")
    return backbone, decoder


def _expect(config: Mapping[str, Any], expected: Mapping[str, Any], what: str) -> None:
    for name, value in expected.items():
        if config.get(name, value) != value:
            raise CheckpointError(f"expected a {what} with {name} {value}, got {config[name]}")


def _hints(backbone: Mapping[str, Any], decoder: Mapping[str, Any]) -> Hints:
    defaults = Hints()
    try:
        return Hints(
            decoder_heads=int(decoder.get("decoder_attention_heads", defaults.decoder_heads)),
            stride_in_1x1=bool(backbone.get("downsample_in_bottleneck", False)),
            drop_path=float(backbone.get("drop_path_rate", defaults.drop_path)),
            dropout=float(decoder.get("dropout", defaults.dropout)),
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"expected numbers in config.json, got {error}") from error


def _check_depths(
    state: Mapping[str, Tensor], backbone: Mapping[str, Any], decoder: Mapping[str, Any]
) -> None:
    """Miss a whole last layer or block, which no shape of the others tells."""
    is_resnet = backbone.get("model_type") == "resnet"
    depths = backbone.get("depths") or []
    if not isinstance(depths, list):
        raise CheckpointError(f"expected a list as depths in config.json, got {depths!r}")
    stated = {
        (f"backbone.res{i + 2}" if is_resnet else f"backbone.layers.{i}.blocks"): (
            depth,
            "conv1.weight" if is_resnet else "norm1.weight",
        )
        for i, depth in enumerate(depths)
    }
    if "decoder_layers" in decoder:
        stated["transformer_decoder.layers"] = (decoder["decoder_layers"], "linear1.weight")
    for prefix, (depth, parameter) in stated.items():
        found = sum(f"{prefix}.{i}.{parameter}" in state for i in range(len(state)))
        if found != depth:
            raise CheckpointError(f"expected {depth} of {prefix} as in config.json, got {found}")


def _read_state(folder: Path) -> dict[str, Tensor]:
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return _read_part(folder / name)
        if (folder / f"{name}.index.json").is_file():
            return _read_shards(folder, folder / f"{name}.index.json")
    raise CheckpointError(
        f"expected model.safetensors or pytorch_model.bin in {folder}, got neither"
    )


def _read_part(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_weights(path)
    content = read_torch(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"expected tensors by name in {path}, got {type(content).__name__}")
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _read_shards(folder: Path, index: Path) -> dict[str, Tensor]:
    owner: Mapping[str, str] = _read_json(index).get("weight_map") or {}
    state: dict[str, Tensor] = {}
    for name in sorted(set(owner.values())):
        if name != Path(name).name:
            raise CheckpointError(f"expected plain file names in {index}, got {name!r}")
        state |= _read_part(folder / name)
    missing = [key for key in owner if key not in state]
    if missing:
        raise CheckpointError(f"expected {missing[0]} in {owner[missing[0]]}, got no such key")
    return state


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"expected {path.name} in {path.parent}, got no such file") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"expected JSON in {path}, got {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a JSON object in {path}, got {type(content).__name__}")
    return content


def _read_optional_json(path: Path) -> dict[str, Any] | None:
    return _read_json(path) if path.is_file() else None


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    by_index = config.get("id2label") or {}
    if not isinstance(by_index, dict) or not all(str(key).isdecimal() for key in by_index):
        raise CheckpointError("expected id2label with indices as keys in config.json, got others")
    names = tuple(str(by_index[key]) for key in sorted(by_index, key=int))
    if not all(name.strip() for name in names):
        raise CheckpointError("expected a name for every class in id2label, got an empty one")
    return () if all(_GENERIC_LABEL.fullmatch(name) for name in names) else names


def _source(folder: Path, hub_id: str, origin: str) -> str:
    if hub_id:
        return f"Hugging Face hub, {hub_id}"
    return f"transformers folder {folder.name}" + (f", made from {origin}" if origin else "")


def _stated_licence(folder: Path) -> str:
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    stated = re.search(r"^license:\s*(\S+)\s*$", front[1], re.MULTILINE) if front else None
    return stated[1].strip("'\"") if stated else UNKNOWN_LICENCE
