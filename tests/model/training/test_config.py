import pytest

from model.errors import InvalidParameterError
from model.network.maskformer import build_network
from model.training.config import load_preset, override, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_and_say_command_hardware_hours_and_score(name: str) -> None:
    import importlib

    config = load_preset(name)
    assert config.name == name
    text = importlib.import_module(f"model.training.presets.{name}").__doc__ or ""
    for word in (f"maskformer train {name}", "Hardware:", "Hours:", "Score:"):
        assert word in text


def test_the_bundled_network_is_small() -> None:
    network = build_network(load_preset("scenes").architecture)
    assert sum(p.numel() for p in network.parameters()) <= 4_000_000


def test_overrides_replace_nested_values() -> None:
    config = override(
        load_preset("scenes"),
        ["steps=7", "optimizer.learning_rate=1e-5", "precision=float32", "ema_decay=null"],
    )
    assert (config.steps, config.optimizer.learning_rate) == (7, 1e-5)
    assert (config.precision, config.ema_decay) == ("float32", None)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("step=7", "expected a key of the training settings, got 'step'"),
        ("optimizer.lr=1", "optimizer.lr"),
        ("steps.x=1", "steps.x"),
        ("steps", "key=value"),
        ("steps=0", "steps"),
        ("precision=float16", "precision"),
    ],
)
def test_what_is_no_setting_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        override(load_preset("scenes"), [assignment])


def test_an_unknown_preset_lists_those_that_exist() -> None:
    with pytest.raises(InvalidParameterError, match="scenes"):
        load_preset("nothing")
