import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from model.errors import InvalidParameterError
from model.training.ablations.report import draw, fill, plot, table, write_results
from model.training.ablations.studies import find_study, studies
from tests.model.training.ablations.arms import results

PAGE = Path(__file__).parents[4] / "docs" / "ablations.md"


def test_a_row_holds_mean_spread_and_the_papers_score() -> None:
    study = find_study("matching")
    assert table(study, results(study)).splitlines() == [
        "| arm | parameters | mIoU | PQ^St | mIoU, paper | PQ^St, paper |",
        "| --- | --- | --- | --- | --- | --- |",
        "| MaskFormer, fixed matching | 1.23 M | 1.0 (0.0-2.0) | 1.0 (0.0-2.0) | 43.7 | 30.3 |",
        "| MaskFormer | 1.23 M | 11.0 (10.0-12.0) | 11.0 (10.0-12.0) | 44.2 | 33.4 |",
    ]


def test_arms_without_results_and_scores_that_the_paper_lacks_are_left_open() -> None:
    study = find_study("layers")
    lines = table(study, results(study, seeds=1)[:1]).splitlines()
    assert lines[2:] == ["| 0 layers | 1.23 M | 0.0 | 0.0 | 0.0 | 0.0 | – | – | – | – |"]


def test_the_file_says_with_what_it_was_made(tmp_path: Path) -> None:
    study = find_study("queries")
    write_results(study, results(study), tmp_path)
    content = json.loads((tmp_path / "queries.json").read_text(encoding="utf-8"))
    assert content["settings"]["batch"] == study.arms[0].config.batch
    assert {"cpu", "torch", "commit"} <= content["machine"].keys()
    assert content["results"][0]["arm"] == "5 queries"


def test_bars_stand_beside_each_other_with_whiskers_over_the_seeds() -> None:
    study, axes = find_study("matching"), Mock()
    draw(study, results(study), axes)
    first, second = axes.bar.call_args_list
    assert first.args[0] == pytest.approx([-0.2, 0.8])
    assert second.args[0] == pytest.approx([0.2, 1.2])
    assert first.args[1] == pytest.approx([1, 11])
    below, above = first.kwargs["yerr"]
    assert below == pytest.approx([1, 1]) and above == pytest.approx([1, 1])


def test_the_plot_is_a_picture_in_a_folder_of_its_own(tmp_path: Path) -> None:
    study = find_study("layers")
    plot(study, results(study), tmp_path / "images" / "a.png")
    with Image.open(tmp_path / "images" / "a.png") as picture:
        assert picture.size == (630, 315)


def test_only_the_named_place_of_a_page_changes() -> None:
    page = (
        "a\n<!-- ablation one -->\nold\n<!-- end -->\n<!-- ablation two -->\nkept\n<!-- end -->\n"
    )
    filled = fill(page, "one", "new")
    assert filled == page.replace("\nold\n", "\n\nnew\n\n")
    assert fill(filled, "one", "new") == filled
    with pytest.raises(InvalidParameterError, match="ablation three"):
        fill(page, "three", "new")


def test_every_study_has_its_place_in_the_documentation() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in studies():
        assert f"maskformer ablate {name}" in page
        assert fill(page, name, "x") != page
