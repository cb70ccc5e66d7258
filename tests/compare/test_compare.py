"""Runs side by side: the numbers, what is equal and what is not."""

from __future__ import annotations

import json
import statistics
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from genwright import ledger
from genwright.compare.numbers import aspect, cell
from genwright.compare.view import compare, terminal
from genwright.console import as_text
from genwright.errors import RequestError
from genwright.run import Run
from genwright.scores import Metric, ScoreSheet
from helpers.example_run import draw_run, write_run


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("seeds")
    return [draw_run(folder / f"gan-{i}", seed=i, kid=0.030 + 0.003 * i).folder for i in range(3)]


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_run(tmp_path_factory.mktemp("vae") / "vae", "vae", kid=0.06).folder


def edit_scores(run: Path, change) -> None:
    file = run / "evaluate" / "scores.json"
    sheet = ScoreSheet.read(file)
    change(sheet)
    sheet.write(file)


def test_seeds_are_one_group_with_their_mean_and_spread(seeds: list[Path], vae: Path, tmp_path: Path):
    comparison = compare([*seeds, vae], tmp_path / "out")
    gan, single = comparison.groups
    assert (gan.name, gan.seeds, single.name) == ("gan", [0, 1, 2], "vae")
    kid = gan.scores["kid"]
    assert kid.runs == [0.030, 0.033, 0.036]
    assert kid.value == pytest.approx(statistics.fmean(kid.runs))
    assert kid.spread == pytest.approx(statistics.stdev(kid.runs))
    assert cell(kid) == "0.033 ± 0.003"


def test_a_single_run_has_the_scores_interval_and_no_spread(seeds: list[Path], vae: Path, tmp_path: Path):
    comparison = compare([seeds[0], vae], tmp_path / "out")
    for group in comparison.groups:
        assert group.scores["kid"].spread is None
    assert cell(comparison.groups[0].scores["kid"]) == "0.03 (0.0276 to 0.0324)"
    assert "nothing is said about the spread" in as_text(terminal(comparison))


def test_the_same_seed_twice_shows_no_spread(seeds: list[Path], tmp_path: Path):
    again = draw_run(tmp_path / "again", seed=0, kid=0.03).folder
    comparison = compare([seeds[0], again], tmp_path / "out")
    assert len(comparison.groups) == 1
    assert comparison.groups[0].scores["kid"].spread is None


def test_ahead_only_where_intervals_are_apart(seeds: list[Path], vae: Path, tmp_path: Path):
    comparison = compare([seeds[0], vae], tmp_path / "out")
    kid, frechet, coverage, accuracy = comparison.metrics
    assert comparison.winners(kid) == {"gan-0"}
    assert comparison.winners(frechet) == set()
    assert comparison.winners(coverage) == set()
    assert comparison.winners(accuracy) == set()
    mixed = compare([*seeds, vae], tmp_path / "mixed")
    assert mixed.winners(mixed.metrics[0]) == set()


def test_an_interval_of_no_width_is_none_and_wins_nothing(seeds: list[Path], tmp_path: Path):
    other = draw_run(tmp_path / "other", "vae", kid=0.06).folder

    def flatten(sheet: ScoreSheet) -> None:
        for row in sheet.rows:
            row.scores["kid"].low = row.scores["kid"].high = row.scores["kid"].value

    edit_scores(other, flatten)
    comparison = compare([seeds[0], other], tmp_path / "out")
    assert cell(comparison.groups[1].scores["kid"]) == "0.06"
    assert comparison.winners(comparison.metrics[0]) == set()


def test_equal_runs_have_nothing_unequal(seeds: list[Path], vae: Path, tmp_path: Path):
    edit_scores(vae, lambda sheet: sheet.protocol.update(recipe="another"))
    assert compare([seeds[0], vae], tmp_path / "out").unequal == []


def test_what_is_unequal_is_said(seeds: list[Path], tmp_path: Path):
    other = draw_run(tmp_path / "other", "vae")
    record = other.record("collect")
    assert record
    other.complete("collect", inputs="c", outputs="another", seconds=1)
    recipe_file = other.folder / "recipe.yaml"
    recipe_file.write_text(
        recipe_file.read_text(encoding="utf-8").replace("budget: 3m", "budget: 10m"), encoding="utf-8"
    )
    edit_scores(other.folder, lambda sheet: sheet.protocol.update(n=100))
    edit_scores(other.folder, lambda sheet: sheet.metrics.append(Metric(name="extra", title="Extra")))
    comparison = compare([seeds[0], other.folder], tmp_path / "out")
    said = " ".join(comparison.unequal)
    for part in ("not trained on the same data", "3m, 10m", "different protocols (n differ)", "Left out", "Extra"):
        assert part in said
    assert said.replace("\n", " ")[:40] in Path(comparison.page).read_text(encoding="utf-8")


def test_the_table_has_every_number(seeds: list[Path], vae: Path, tmp_path: Path):
    text = as_text(terminal(compare([*seeds, vae], tmp_path / "out")), width=200)
    for shown in (
        "0.033 ± 0.003",
        "0.06 (0.0552 to 0.0648)",
        "0.31",
        "0.0004",
        "2m 56s",
        "42T",
        "2.35M",
        "3 seeds",
        "KID ↓",
        "Diversity",
    ):
        assert shown in text, shown


def test_files_are_written_and_agree(seeds: list[Path], vae: Path, tmp_path: Path):
    comparison = compare([*seeds, vae], tmp_path / "new" / "out")
    content = json.loads(Path(comparison.page).with_suffix(".json").read_text(encoding="utf-8"))
    assert content["groups"][0]["scores"]["kid"]["value"] == pytest.approx(0.033)
    picture = ET.parse(comparison.picture).getroot()
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}image"))) == 2
    page = Path(comparison.page).read_text(encoding="utf-8")
    assert "0.033 ± 0.003" in page and "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")


def test_earlier_pages_stay(seeds: list[Path], tmp_path: Path):
    vae = draw_run(tmp_path / "vae", "vae").folder
    first = compare([seeds[0], vae], tmp_path / "out")
    before = Path(first.page).read_bytes()
    edit_scores(vae, lambda sheet: setattr(sheet.rows[2].scores["kid"], "value", 0.05))
    second, other = compare([seeds[0], vae], tmp_path / "out"), compare(seeds, tmp_path / "out")
    assert Path(first.page).read_bytes() == before != Path(second.page).read_bytes()
    assert len({*map(str, (tmp_path / "out").iterdir())}) == 9
    assert seeds[0].name in first.page and vae.name in first.page
    assert Path(second.page).stem == f"{Path(first.page).stem}-2" and Path(other.picture).exists()


@pytest.mark.parametrize("width", [80, 60])
def test_the_table_breaks_no_word_and_no_number(width: int, seeds: list[Path], vae: Path, tmp_path: Path):
    comparison = compare([*seeds, vae], tmp_path / "out")
    text = as_text(terminal(comparison), width=width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    for shown in ("0.033 ± 0.003", "0.06 (0.0552 to 0.0648)", "Discriminator", "accuracy", "FLOPs"):
        assert shown in text


def test_texts_are_compared_by_what_they_share(tmp_path: Path):
    runs = [write_run(tmp_path / f"write-{i}", seed=i).folder for i in range(2)]
    comparison = compare(runs, tmp_path / "out")
    assert {m.name: comparison.aspects[m.name] for m in comparison.metrics} == {
        "bits_per_byte": "quality",
        "distinct_3": "diversity",
        "copied_50": "copying",
    }


@pytest.mark.parametrize(("name", "expected"), [("kid", "quality"), ("recall", "diversity"), ("copy_rate", "copying")])
def test_aspects_go_by_name(name: str, expected: str):
    assert aspect(Metric(name=name, title=name)) == expected


def test_bad_requests(seeds: list[Path], tmp_path: Path):
    half = draw_run(tmp_path / "half", until="train").folder
    text = write_run(tmp_path / "text").folder
    for folders, words in (
        ([seeds[0]], "two runs or more"),
        ([seeds[0], seeds[0]], "more than once"),
        ([seeds[0], half], "half: not evaluated yet"),
        ([seeds[0], text], "different tasks"),
        ([seeds[0], tmp_path / "nothing"], "nothing: not a run folder"),
    ):
        with pytest.raises(RequestError, match=words):
            compare(folders, tmp_path / "out")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RequestError, match="can't be written"):
        compare(seeds[:2], tmp_path / "file")


def test_ledgers_of_the_examples_are_real(drawn: Run):
    assert ledger.account(ledger.read(drawn.stage("collect") / ledger.LEDGER)).offered == 1951
