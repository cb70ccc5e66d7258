"""What the terminal shows: tables that break no word and no number, however narrow it is."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from genwright import console
from genwright.cli.app import main
from genwright.cli.runs import find
from genwright.console import SideBySide, as_html, as_text
from genwright.scores import Metric, Row, Score, ScoreSheet
from helpers.old_runs import old_run


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    for name in ("write", "chat", "complete", "draw-gan", "draw-vae"):
        old_run(name, folder)
    return folder


def test_what_tells_of_itself_needs_no_reminder(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A training that logs every seven seconds: its share is shown every ten, and not that it goes on."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(console._screen, "written", 0.0)
    line = console.Line("train", 100)
    for second in range(1, 61):
        clock.now += 1.0
        if second % 7 == 0:
            line.update(second)
        line.remind()
    said = capsys.readouterr().err
    assert said.count("left") >= 4 and "so far" not in said
    for _ in range(25):
        clock.now += 1.0
        line.remind()
    assert capsys.readouterr().err.count("so far") == 2


def wanted(sheet: ScoreSheet) -> set[str]:
    """Every word of a title and every figure with its interval."""
    titles = [*(row.title for row in sheet.rows), *(metric.title for metric in sheet.metrics)]
    figures = [f"{s.value:.3g}" for row in sheet.rows for s in row.scores.values()]
    return {word for title in titles for word in title.split()} | set(figures)


@pytest.mark.parametrize("name", ["write", "chat", "complete", "draw-gan", "draw-vae"])
@pytest.mark.parametrize("width", [120, 80, 60, 46])
def test_real_score_sheets_break_no_word_and_no_number(name: str, width: int, old: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    main_shows("runs", "show", str(old / name))
    shown = capsys.readouterr().out.partition("\nScores\n")[2]
    sheet = ScoreSheet.read(old / name / "evaluate" / "scores.json")
    assert max(map(len, shown.splitlines())) <= width and "…" not in shown
    assert wanted(sheet) <= set(shown.split())
    for line in shown.splitlines():
        assert not re.match(r"\s*(±|\(\d)", line), "an interval stands beside its number"


def main_shows(*arguments: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert not end.value.code


@pytest.mark.parametrize("width", [80, 60])
def test_a_list_of_runs_is_whole(width: int, old: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    main_shows("runs", "--where", str(old))
    shown = capsys.readouterr().out
    assert "…" not in shown and max(map(len, shown.splitlines())) <= width
    for one in find(old):
        assert one.score in shown.replace("\u00a0", " "), "a score stands whole"
        assert {one.name, one.task, one.family, *one.score.split()} <= set(shown.split())


def test_wide_intervals_go_below_each_other() -> None:
    rows = [Row(name=kind, title=f"the {kind} row", kind=kind, scores={"kid": Score(value=5.29, low=2.07, high=5.62)}) for kind in ("floor", "model", "real")]  # fmt: skip
    sheet = ScoreSheet(metrics=[Metric(name="kid", title="KID", better="lower")], rows=rows, protocol={})
    assert len(as_text(sheet, 100).splitlines()) == 3
    narrow = as_text(sheet, 40).splitlines()
    assert narrow[0] == "KID ↓" and [line.split()[:2] for line in narrow[1:]] == [["the", kind] for kind in ("floor", "model", "real")]  # fmt: skip


def test_headings_stand_alone_and_nothing_is_markup() -> None:
    table = SideBySide(["[red]a", "b"], [("Quality", []), ("  [b]KID", ["1", ""])], bold=frozenset({(1, 0)}))
    wide, narrow = as_text(table, 60), as_text(table, 14)
    assert "[red]a" in wide and "[b]KID" in wide and "Quality" in wide.splitlines()
    assert narrow.split() == ["Quality", "[b]KID", "[red]a", "1"]
    assert "font-weight: bold" in as_html(table) and "[red]a" in as_html(table)
