import hashlib
import logging
import os
from pathlib import Path

import pytest

from app import api_keys
from app.api_keys import ApiKeys, read_keys
from model.errors import InvalidParameterError

KEY = "a-key-of-sixteen-letters"
OTHER = "another-key-of-more-letters"


def written(path: Path, text: str) -> Path:
    """The file, replaced as a secret in a pod is: another file under the same name."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.rename(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_names_come_back_for_plain_and_hashed_keys(path: Path) -> None:
    digest = hashlib.sha256(OTHER.encode()).hexdigest()
    keys = ApiKeys(written(path, f"# ours\n\nlab:{KEY}\n web.1:sha256:{digest}\n"))
    assert keys.name_of(KEY) == "lab"
    assert keys.name_of(OTHER) == "web.1"
    for wrong in ("", KEY[:-1], KEY + "x", digest, f"sha256:{digest}", "\udcff", "é" * 16):
        assert keys.name_of(wrong) is None


def test_a_name_may_have_two_keys_while_one_replaces_the_other(path: Path) -> None:
    keys = ApiKeys(written(path, f"lab:{KEY}\nlab:{OTHER}\n"))
    assert keys.name_of(KEY) == keys.name_of(OTHER) == "lab"


def test_keys_themselves_are_not_kept(path: Path) -> None:
    keys = ApiKeys(written(path, f"lab:{KEY}:with:colons"))
    assert keys.name_of(f"{KEY}:with:colons") == "lab"
    assert KEY not in repr(vars(keys))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one key"),
        ("# nothing\n", "at least one key"),
        (KEY, "NAME:KEY or NAME:sha256:HEX in line 1"),
        (f"lab:{KEY}\n:{KEY}", "in line 2"),
        (f"a name:{KEY}", "in line 1"),
        (f"lab:{KEY} # mine", "in line 1"),
        ("lab:short", "at least 16 letters"),
        ("lab:sha256:abc", "sha256: and 64 digits"),
        (f"lab:{KEY}\nweb:{KEY}", "each key once in line 2"),
        ("x" * (2**20 + 1), "at most 1048576 bytes"),
    ],
)
def test_a_broken_file_is_told_without_its_keys(path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message) as caught:
        read_keys(written(path, text))
    assert KEY not in str(caught.value)


def test_a_file_that_is_no_text_or_not_there_is_told(path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="No such file"):
        read_keys(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidParameterError, match="other bytes"):
        ApiKeys(path)


def test_a_changed_file_is_read_and_a_broken_one_changes_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = ApiKeys(written(path, f"lab:{KEY}"))
    written(path, f"web:{OTHER}")
    keys.refresh()
    assert (keys.name_of(KEY), keys.name_of(OTHER)) == (None, "web")
    with caplog.at_level(logging.ERROR, "maskformer"):
        for change in (lambda: written(path, "nonsense"), lambda: path.unlink()):
            caplog.clear()
            change()
            keys.refresh()
            keys.refresh()
            assert keys.name_of(OTHER) == "web"
            assert len(caplog.records) == 1
            assert "the API keys stay as they were" in caplog.text
    written(path, f"lab:{KEY}")
    keys.refresh()
    assert (keys.name_of(KEY), keys.name_of(OTHER)) == ("lab", None)


def test_an_edit_in_place_is_seen(path: Path) -> None:
    keys = ApiKeys(written(path, f"lab:{KEY}"))
    status = path.stat()
    path.write_text(f"abc:{KEY}", encoding="utf-8")  # as long as before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    keys.refresh()
    assert keys.name_of(KEY) == "abc"


def test_the_file_is_looked_at_once_in_a_while(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ApiKeys(written(path, f"lab:{KEY}"))
    now_s = api_keys.time.monotonic()
    monkeypatch.setattr(api_keys.time, "monotonic", lambda: now_s + 100)
    assert keys.is_due()
    assert not keys.is_due()
