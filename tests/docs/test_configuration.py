"""docs/configuration.md tells what the code says."""

import re

from app.settings import Settings, flag_of, variable_of
from cli.configuration import PAGE, renewed


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == renewed(page), "run: python -m cli.configuration"


def test_every_setting_has_one_row_and_no_machine_of_its_own() -> None:
    rows = re.findall(
        r"^\| `(MASKFORMER_\w+)`<br>`(--[\w-]+)` \| (.*) \|$",
        PAGE.read_text(encoding="utf-8"),
        re.M,
    )
    names = [(variable_of(name), flag_of(name)) for name in Settings.model_fields]
    assert [row[:2] for row in rows] == names
    for _, flag, cells in rows:
        values, default, meaning = cells.split(" | ")
        assert values, flag
        assert default, flag
        assert meaning.endswith("."), flag
        assert "/root" not in default, flag
        assert "/home" not in default, flag
