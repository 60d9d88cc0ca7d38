"""Machine code that images bring along, and how the entry point chooses it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import pytest

import model.inference.postprocess  # noqa: F401  what the image's build imports
from tests.docker.test_images import IMAGES, LINES, ROOT, STAGES, _lines

LAUNCHER = (ROOT / "docker" / "maskformer").read_text(encoding="utf-8")
NAMES = "NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES="
STARTED = "-m cli.main serve <x86-64-v3> <>"
FLAGS = "fpu avx2 bmi1 bmi2 f16c fma abm movbe"


def test_kernels_are_kept_under_the_processor_that_is_asked_for() -> None:
    (build,) = (line for line in LINES if "NUMBA_CPU_NAME" in line)
    assert build in STAGES["project"][1]
    assert f"RUN NUMBA_CACHE_DIR=/opt/kernels {NAMES} " in build
    assert f"export {NAMES}\n" in LAUNCHER


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_every_image_has_the_kernels(image: str) -> None:
    assert "COPY --from=project /opt/kernels /opt/kernels" in _lines(image)


def test_one_import_compiles_every_kernel() -> None:
    users = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for folder in ("app", "cli", "maskformer", "model")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^@compiled\(", path.read_text(encoding="utf-8"), re.M)
    }
    assert len(users) > 3
    assert users <= set(sys.modules)
    # The stamp of the cache is a digest of this folder.
    assert {name.rpartition(".")[0] for name in users} == {"model.inference.postprocess"}


def start(tmp_path: Path, flags: str, cache_dir: Path) -> str:
    """What the program is started with: the entry point around a `python` that tells."""
    kernels, cpuinfo, tools = (tmp_path / name for name in ("kernels", "cpuinfo", "bin"))
    shutil.rmtree(tools, ignore_errors=True)
    (kernels / "postprocess").mkdir(parents=True, exist_ok=True)
    (kernels / "postprocess" / "bounds.nbi").write_text("machine code", encoding="utf-8")
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n", encoding="utf-8")
    tools.mkdir()
    told = tools / "python"
    told.write_text(
        '#!/bin/sh\necho "$* <${NUMBA_CPU_NAME-none}> <${NUMBA_CPU_FEATURES-none}>"\n',
        encoding="utf-8",
    )
    told.chmod(0o755)
    text = LAUNCHER.replace("/opt/kernels", str(kernels)).replace("/proc/cpuinfo", str(cpuinfo))
    done = subprocess.run(
        ["sh", "-c", text, "maskformer", "serve"],
        env={"PATH": f"{tools}:{os.environ['PATH']}", "NUMBA_CACHE_DIR": str(cache_dir)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_the_program_starts_with_a_copy_of_the_kernels(tmp_path: Path) -> None:
    cache = tmp_path / "numba"
    for _ in range(2):  # the second start keeps what is there
        assert start(tmp_path, FLAGS, cache) == STARTED
        assert [path.name for path in cache.rglob("*.nbi")] == ["bounds.nbi"]
        assert not list(tmp_path.glob("numba.*"))
        (cache / "compiled here").touch()
    assert (cache / "compiled here").exists()


@pytest.mark.parametrize("missing", FLAGS.split()[1:])
def test_an_older_processor_compiles_for_itself(missing: str, tmp_path: Path) -> None:
    flags = " ".join(flag for flag in FLAGS.split() if flag != missing)
    assert start(tmp_path, flags, tmp_path / "numba") == "-m cli.main serve <none> <none>"
    assert not (tmp_path / "numba").exists()


def test_the_program_starts_where_nothing_can_be_written(tmp_path: Path) -> None:
    assert start(tmp_path, FLAGS, tmp_path / "no" / "numba") == STARTED


def test_a_library_without_its_symbol_table_is_smaller_and_loads(tmp_path: Path) -> None:
    (library,) = Path(llvmlite.binding.__file__).parent.glob("libllvmlite.so")
    copy = Path(shutil.copy(library, tmp_path))
    cut = [sys.executable, str(ROOT / "docker" / "strip.py"), str(copy)]
    subprocess.run(cut, check=True)
    once = copy.read_bytes()
    assert len(once) < library.stat().st_size
    code = f"import ctypes; ctypes.CDLL({str(copy)!r}).LLVMPY_InitializeNativeTarget()"
    subprocess.run([sys.executable, "-c", code], check=True)
    subprocess.run(cut, check=True)
    assert copy.read_bytes() == once


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_bytes(b"INPUT(libc.so.6)".ljust(80))
    done = subprocess.run(
        [sys.executable, str(ROOT / "docker" / "strip.py"), str(text)],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "expected an ELF file in 64 bits, little-endian, got" in done.stderr
