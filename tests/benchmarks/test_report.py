import json
from pathlib import Path

import pytest

from benchmarks import document, end_to_end
from benchmarks._report import (
    PICTURE_WH,
    Arguments,
    markdown,
    percentile,
    pictures,
    plot,
    report,
)
from model.inference.decode import decode

ROWS = [{"who": "ours", "p50_ms": 1.234, "size_kb": None}, {"who": "peer", "p50_ms": 1234.5}]


@pytest.fixture
def arguments(tmp_path: Path) -> Arguments:
    return Arguments(model=None, seconds=1.0, output=tmp_path / "results")


@pytest.mark.parametrize(
    ("share", "expected"), [(0, 1), (0.5, 3), (0.75, 4), (0.95, 5), (1, 5)], ids=str
)
def test_percentiles_are_values_that_were_measured(share: float, expected: float) -> None:
    assert percentile([3, 1, 5, 2, 4], share) == expected


def test_a_percentile_needs_values() -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        percentile([], 0.5)


def test_tables_have_units_in_their_headings_and_dashes_for_nothing() -> None:
    rows = [ROWS[0], ROWS[1] | {"size_kb": 12}]
    assert markdown(rows).splitlines() == [
        "| who | p50, ms | size, kB |",
        "| --- | --- | --- |",
        "| ours | 1.23 | – |",
        "| peer | 1234 | 12 |",
    ]
    assert markdown([{"pictures_per_s": 10.04}]).splitlines()[0::2] == [
        "| pictures/s |",
        "| 10.0 |",
    ]
    assert markdown([]) == "(nothing)"


def test_a_result_says_where_when_and_of_what_it_is(arguments: Arguments) -> None:
    report("speed", arguments, {"times": [{"who": "ours", "ms": 1.0}]}, rounds=3)
    content = json.loads((arguments.output / "speed.json").read_text(encoding="utf-8"))
    assert content["benchmark"] == "speed"
    assert content["settings"] == {"seconds": 1.0, "rounds": 3}
    assert content["tables"] == {"times": [{"who": "ours", "ms": 1.0}]}
    assert {"cpu", "cores", "python", "numpy", "commit"} <= content["machine"].keys()


def test_plots_are_left_out_without_matplotlib(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    plot(arguments, "speed", lambda _: None)
    assert "matplotlib" in capsys.readouterr().out
    assert not arguments.output.exists()


def test_pictures_are_jpegs_of_one_size() -> None:
    encoded = pictures()
    assert len(encoded) == 12
    assert decode(encoded[0]).shape == (*PICTURE_WH[::-1], 3)


def test_measured_tables_get_into_the_page_and_missing_ones_are_named(
    arguments: Arguments,
) -> None:
    report("speed", arguments, {"times": [{"who": "ours", "ms": 2.0}]})
    report("other", arguments, {"two words": [{"who": "theirs", "size_kb": 4}]})
    page = (
        "a\n<!-- table speed/times -->\nold\n<!-- end -->\nb\n<!-- machine speed -->\n"
        "<!-- end -->\n<!-- table other/two words -->\n<!-- end -->\n"
        "<!-- table other/times -->\nkept\n<!-- end -->\n"
    )
    text, missing = document.fill(page, arguments.output)
    assert "| ours | 2.00 |" in text
    assert "old" not in text
    assert "Measured on: cpu " in text
    assert "| theirs | 4 |" in text
    assert "kept" in text
    assert missing == ["other/times"]
    assert document.fill(text, arguments.output) == (text, missing)


def test_every_marker_of_the_page_is_one_that_a_benchmark_writes() -> None:
    text, missing = document.fill(document.PAGE.read_text(encoding="utf-8"), Path("nowhere"))
    names = {what.partition("/")[0] for what in missing}
    assert len(missing) == text.count("<!-- end -->")
    assert all((Path(document.__file__).parent / f"{name}.py").is_file() for name in names)
    assert text == document.PAGE.read_text(encoding="utf-8")


def test_turns_are_shared_out_and_compared_with_the_bare_engine() -> None:
    asked = []

    def contender(name: str, latency_s: float):
        def turn(callers: int, seconds: float):
            asked.append((name, callers, seconds))
            return {
                "latencies_s": [latency_s] * callers,
                "elapsed_s": latency_s,
                "cpu_s": latency_s,
                "failures": [],
            }

        return turn

    turns = {
        end_to_end.OURS: contender(end_to_end.OURS, 0.2),
        "peer": contender("peer", 0.8),
        end_to_end.BARE: contender(end_to_end.BARE, 0.1),
    }
    measured, rounds = end_to_end.take_turns(turns, seconds=36)
    assert sum(seconds for _, _, seconds in asked) == pytest.approx(36)
    assert rounds == end_to_end.ROUNDS
    assert len(asked) == end_to_end.ROUNDS * (4 + 2 + 2)
    rows = {(row["who"], row["callers"]): row for row in end_to_end.summary(measured)}
    ours = rows[end_to_end.OURS, 4]
    assert ours["answers_per_s"] == pytest.approx(20)
    assert ours["p50_ms"] == pytest.approx(200)
    assert ours["cpu_ms"] == pytest.approx(50)
    assert ours["share_of_bare_rate"] == pytest.approx(0.5)
    assert ours["times_bare_p50"] == pytest.approx(2)
    assert rows["peer", 4]["ours_is_faster_by"] == pytest.approx(4)
    assert rows[end_to_end.OURS, 8]["share_of_bare_rate"] is None


def test_where_a_request_outlasts_a_turn_there_are_fewer_rounds() -> None:
    def turn(callers: int, _seconds: float):
        return {"latencies_s": [9.0] * callers, "elapsed_s": 9.0, "cpu_s": 9.0, "failures": []}

    measured, rounds = end_to_end.take_turns({end_to_end.OURS: turn}, seconds=0)
    assert rounds == end_to_end.LEAST_ROUNDS
    assert len(measured[end_to_end.OURS, 4].latencies_s) == 4 * rounds


def test_a_contender_that_never_answers_is_shown_with_its_failures() -> None:
    failing = end_to_end.Measured(elapsed_s=1.0, failures=["refused"])
    ours = end_to_end.Measured([0.5], 1.0, 0.1)
    rows = end_to_end.summary({(end_to_end.OURS, 1): ours, ("peer", 1): failing})
    assert rows[1]["failures"] == 1
    assert rows[1]["p50_ms"] is None
    assert rows[1]["ours_is_faster_by"] is None
