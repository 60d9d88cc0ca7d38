"""Dockerfile and hashed requirements, read as text: no image is built here."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
IMAGES = {"cpu", "gpu", "train", "bulk"}
# The extras of each image; docker/requirements/renew.sh has them too.
EXTRAS = {
    "cpu": ["openvino"],
    "gpu": ["gpu"],
    "train": ["train"],
    "bulk": ["openvino", "bulk", "ray", "s3"],
}


def _stages() -> dict[str, tuple[str, list[str]]]:
    """Of each stage: what it builds on, and its lines."""
    stages: dict[str, tuple[str, list[str]]] = {}
    for line in LINES:
        if found := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            lines: list[str] = []
            stages[found[2]] = (found[1], lines)
        elif stages:
            lines.append(line)
    return stages


STAGES = _stages()


def _lines(stage: str) -> list[str]:
    """A stage's lines, those of what it builds on first."""
    if stage not in STAGES:
        return []
    base, lines = STAGES[stage]
    return _lines(base) + lines


def _last(stage: str, instruction: str) -> str:
    return [line for line in _lines(stage) if line.startswith(instruction + " ")][-1]


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / "docker" / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {_plain(n): version for n, version in re.findall(r"^(\S+)==(\S+)", text, re.M)}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _constraints() -> dict[str, str]:
    pins = (
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    )
    return {_plain(pin[0]): pin[1] for pin in pins if len(pin) == 2}


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_every_image_runs_as_its_user_with_its_own_libraries(image: str) -> None:
    assert _last(image, "USER") == "USER 10001:10001"
    assert f"COPY --from={image}-libraries /opt/venv /opt/venv" in STAGES[image][1]
    assert f"COPY docker/requirements/{image}.txt /requirements.txt" in _lines(f"{image}-libraries")
    assert _last(image, "WORKDIR") == "WORKDIR /srv/maskformer"
    # Exec form, so that signals reach the program and no shell.
    assert _last(image, "ENTRYPOINT").startswith('ENTRYPOINT ["')
    assert _last(image, "CMD").startswith('CMD ["')
    assert "org.opencontainers.image.licenses" in _last(image, "LABEL")


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_only_services_are_asked_for_their_health(image: str) -> None:
    checks = [line for line in _lines(image) if line.startswith("HEALTHCHECK")]
    assert len(checks) == 1
    assert ("/readyz" in checks[0]) == (image in {"cpu", "gpu"})


def test_a_build_without_a_target_makes_the_service_on_a_cpu() -> None:
    assert list(STAGES)[-1] == "cpu"


def test_nothing_comes_from_the_network_but_hashed_wheels() -> None:
    assert not [line for line in LINES if line.startswith("ADD ")]
    text = TEXT + (ROOT / "docker" / "install.sh").read_text(encoding="utf-8")
    assert not re.search(r"\b(curl|wget|apt|apt-get|git)\b", text)
    assert "--require-hashes" in text
    assert "--only-binary :all:" in text


def test_all_that_is_copied_is_there() -> None:
    for line in LINES:
        if line.startswith("COPY ") and "--from" not in line and "$" not in line:
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line


@pytest.mark.parametrize("script", ["install.sh", "trim.sh", "maskformer"])
def test_scripts_can_be_read_and_run(script: str) -> None:
    path = ROOT / "docker" / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(path)], check=True)


def test_the_entry_point_becomes_the_program() -> None:
    assert "exec python -m cli.main" in (ROOT / "docker" / "maskformer").read_text(encoding="utf-8")


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_requirements_are_hashed_and_agree_with_the_constraints(image: str) -> None:
    text = (ROOT / "docker" / "requirements" / f"{image}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"^(?=\S)", text, flags=re.M)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    constraints = _constraints()
    pins = _pins(image)
    assert {n: v for n, v in pins.items() if constraints.get(n, v) != v} == {}
    # Beyond them: what only a GPU needs, and what no environment of the tests has.
    beyond = {n for n in pins if n not in constraints}
    allowed = r"nvidia-.*|cuda-.*|triton|onnxruntime-gpu|setuptools|"
    assert {n for n in beyond if not re.fullmatch(allowed, n)} == set()


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_requirements_hold_what_pyproject_asks_for(image: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = list(project["dependencies"])
    for extra in EXTRAS[image]:
        asked += project["optional-dependencies"][extra]
    names = {_plain(re.split(r"[\[<>=~! ]", requirement)[0]) for requirement in asked}
    assert names <= set(_pins(image))
    words = " ".join(EXTRAS[image])
    assert f"lock {image} {words}\n" in (ROOT / "docker/requirements/renew.sh").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("library", ["torch", "onnxruntime", "onnx"])
def test_the_service_on_a_cpu_has_one_engine(library: str) -> None:
    """OpenVINO reads ONNX by itself."""
    assert "openvino" in _pins("cpu")
    assert library not in _pins("cpu")


def test_the_python_package_on_a_cpu_has_both_engines() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    names = {_plain(re.split(r"[>=]", requirement)[0]) for requirement in extras["cpu"]}
    assert names == {"maskformer-serving[openvino]", "onnxruntime"}


def _images_named(value: Any) -> set[str]:
    """Every tag of ours in a parsed file, in the forms of compose, Kubernetes and kustomize."""
    if isinstance(value, list):
        return set().union(*map(_images_named, value))
    if not isinstance(value, dict):
        return (
            {value} if isinstance(value, str) and value.startswith("maskformer-serving:") else set()
        )
    found = set().union(*map(_images_named, value.values()))
    if value.get("newName") == "maskformer-serving":
        found.add(f"maskformer-serving:{value['newTag']}")
    return found


def test_compose_and_manifests_name_images_that_are_built() -> None:
    files = [ROOT / "docker-compose.yml", *(ROOT / "deploy").rglob("*.y*ml")]
    named = set().union(
        *(
            _images_named(d)
            for file in files
            for d in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        )
    )
    assert named == {f"maskformer-serving:{image}" for image in IMAGES}
