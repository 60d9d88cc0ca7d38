"""Tensor names of `MaskFormerForInstanceSegmentation` on disk, and their older and newer forms."""

import re
from collections.abc import Mapping

from torch import Tensor

from model.checkpoints.keys import Row, respell, to_ours
from model.checkpoints.tidy import tidy
from model.errors import CheckpointError

_PIXEL = "model.pixel_level_module"
_QUERY = "model.transformer_module"
_BLOCK = f"{_PIXEL}.encoder.model.encoder.layers.{{i}}.blocks.{{j}}"
_OUR_BLOCK = "backbone.layers.{i}.blocks.{j}"
_LAYER = f"{_QUERY}.decoder.layers.{{i}}"
_OUR_LAYER = "transformer_decoder.layers.{i}"
_MERGE = f"{_PIXEL}.encoder.model.encoder.layers.{{i}}.downsample"

_SWIN = (
    Row(
        "backbone.patch_embed.proj.{p}",
        f"{_PIXEL}.encoder.model.embeddings.patch_embeddings.projection.{{p}}",
    ),
    Row("backbone.patch_embed.norm.{p}", f"{_PIXEL}.encoder.model.embeddings.norm.{{p}}"),
    Row(f"{_OUR_BLOCK}.norm1.{{p}}", f"{_BLOCK}.layernorm_before.{{p}}"),
    Row(f"{_OUR_BLOCK}.norm2.{{p}}", f"{_BLOCK}.layernorm_after.{{p}}"),
    *(
        Row(f"{_OUR_BLOCK}.attn.qkv.{{p}}", f"{_BLOCK}.attention.self.{name}.{{p}}", part)
        for part, name in enumerate(("query", "key", "value"))
    ),
    *(
        Row(f"{_OUR_BLOCK}.attn.{name}", f"{_BLOCK}.attention.self.{name}")
        for name in ("relative_position_bias_table", "relative_position_index")
    ),
    Row(f"{_OUR_BLOCK}.attn.proj.{{p}}", f"{_BLOCK}.attention.output.dense.{{p}}"),
    Row(f"{_OUR_BLOCK}.mlp.fc1.{{p}}", f"{_BLOCK}.intermediate.dense.{{p}}"),
    Row(f"{_OUR_BLOCK}.mlp.fc2.{{p}}", f"{_BLOCK}.output.dense.{{p}}"),
    Row("backbone.layers.{i}.downsample.norm.{p}", f"{_MERGE}.norm.{{p}}"),
    Row("backbone.layers.{i}.downsample.reduction.{p}", f"{_MERGE}.reduction.{{p}}"),
    Row("backbone.norm{i}.{p}", f"{_PIXEL}.encoder.hidden_states_norms.{{i}}.{{p}}"),
)


def _convolution(ours: str, theirs: str) -> tuple[Row, Row]:
    return (
        Row(f"{ours}.weight", f"{_PIXEL}.encoder.{theirs}convolution.weight"),
        Row(f"{ours}.norm.{{p}}", f"{_PIXEL}.encoder.{theirs}normalization.{{p}}"),
    )


_RESNET = (
    *_convolution("backbone.stem.conv1", "embedder.embedder."),
    *(
        row
        for stage in range(4)
        for number in (1, 2, 3)
        for row in _convolution(
            f"backbone.res{stage + 2}.{{i}}.conv{number}",
            f"encoder.stages.{stage}.layers.{{i}}.layer.{number - 1}.",
        )
    ),
    *(
        row
        for stage in range(4)
        for row in _convolution(
            f"backbone.res{stage + 2}.{{i}}.shortcut",
            f"encoder.stages.{stage}.layers.{{i}}.shortcut.",
        )
    ),
)


def _pyramid(ours: str, theirs: str) -> tuple[Row, Row]:
    return (
        Row(f"pixel_decoder.{ours}.weight", f"{_PIXEL}.decoder.fpn.{theirs}.0.weight"),
        Row(f"pixel_decoder.{ours}.norm.{{p}}", f"{_PIXEL}.decoder.fpn.{theirs}.1.{{p}}"),
    )


_PYRAMID = (
    *_pyramid("output_res5", "stem"),
    *(row for n in (0, 1, 2) for row in _pyramid(f"lateral_res{4 - n}", f"layers.{n}.proj")),
    *(row for n in (0, 1, 2) for row in _pyramid(f"output_res{4 - n}", f"layers.{n}.block")),
    Row("pixel_decoder.mask_features.{p}", f"{_PIXEL}.decoder.mask_projection.{{p}}"),
)


def _attention(ours: str, theirs: str) -> tuple[Row, ...]:
    stacked = (
        Row(f"{_OUR_LAYER}.{ours}.in_proj_{p}", f"{_LAYER}.{theirs}.{name}_proj.{p}", part)
        for p in ("weight", "bias")
        for part, name in enumerate("qkv")
    )
    return (
        *stacked,
        Row(f"{_OUR_LAYER}.{ours}.out_proj.{{p}}", f"{_LAYER}.{theirs}.out_proj.{{p}}"),
    )


_DECODER = (
    *_attention("self_attn", "self_attn"),
    *_attention("cross_attn", "encoder_attn"),
    *(
        Row(f"{_OUR_LAYER}.{ours}.{{p}}", f"{_LAYER}.{theirs}.{{p}}")
        for ours, theirs in (
            ("linear1", "fc1"),
            ("linear2", "fc2"),
            ("norm1", "self_attn_layer_norm"),
            ("norm2", "encoder_attn_layer_norm"),
            ("norm3", "final_layer_norm"),
        )
    ),
    Row("transformer_decoder.norm.{p}", f"{_QUERY}.decoder.layernorm.{{p}}"),
    Row("transformer_decoder.query_embed.weight", f"{_QUERY}.queries_embedder.weight"),
    Row("transformer_decoder.input_proj.{p}", f"{_QUERY}.input_projection.{{p}}"),
    Row("transformer_decoder.class_head.{p}", "class_predictor.{p}"),
    Row("transformer_decoder.mask_head.layers.{i}.{p}", "mask_embedder.{i}.0.{p}"),
)

HUGGING_FACE: tuple[Row, ...] = (*_SWIN, *_RESNET, *_PYRAMID, *_DECODER)

UNUSED_NORM = f"{_PIXEL}.encoder.model.layernorm"  # stored for Swin, never applied
EMPTY_WEIGHT = "criterion.empty_weight"

# Other spellings of the names above: a wrapper's prefix, a file saved without the heads' class,
# Swin norms named by stage, and the module names that transformers 5 uses in memory.
_SPELLINGS = (
    (r"^module\.", ""),
    (r"^(model\.)+(?=class_predictor|mask_embedder|criterion|model\.)", ""),
    (r"^(?=pixel_level_module|transformer_module)", "model."),
    (r"(?<=hidden_states_norms\.)stage(\d)", lambda m: str(int(m[1]) - 1)),
    (r"(?<=_attn\.)o_proj", "out_proj"),
    (r"(?<=\d\.)mlp\.(?=fc[12])", ""),
)


def from_huggingface(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a transformers MaskFormer's tensors to our names.

    Raises:
        CheckpointError: a key belongs to no MaskFormer with a Swin or ResNet backbone, or the
            heads are absent (a file of the base model alone).
    """
    spelt = respell(state, _spell)
    renamed = to_ours({k: t for k, t in spelt.items() if _is_weight(k)}, HUGGING_FACE)
    if "transformer_decoder.class_head.weight" not in renamed:
        raise CheckpointError(
            "expected class_predictor.weight, got a file without the heads (the base model alone)"
        )
    return tidy(renamed)


def looks_like_huggingface(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of transformers."""
    return any("pixel_level_module." in key for key in state)


def _spell(key: str) -> str:
    for pattern, replacement in _SPELLINGS:
        key = re.sub(pattern, replacement, key)
    return key


def _is_weight(key: str) -> bool:
    return not (
        key == EMPTY_WEIGHT or key.startswith(UNUSED_NORM) or key.endswith(".num_batches_tracked")
    )
