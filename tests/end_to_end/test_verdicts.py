"""Runs with planted data, from the folder to the verdict in terminal, report, card and list of runs."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from genwright.cli.app import main
from genwright.run import Run, read_json
from genwright.scores import ScoreSheet, Verdict
from genwright.stages.evaluate.verdict import training_of

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def texts(count: int, lines: int, topics: int = 3) -> list[str]:
    """In a language of made-up words: each text keeps to its topic, and a line says "the NOUN VERB" four times. What comes next follows
    from the topic, so a model that remembers it does better than counting what follows what."""
    rng = random.Random(0)
    words = [[["".join(rng.choices(SYLLABLES, k=2)) for _ in range(80)] for _ in "nv"] for _ in range(topics)]
    made = []
    for _ in range(count):
        nouns, verbs = words[rng.randrange(topics)]
        pairs = [f"the {rng.choice(nouns)} {rng.choice(verbs)}" for _ in range(4 * lines)]
        made.append("\n".join(" ".join(pairs[i : i + 4]) + "." for i in range(0, len(pairs), 4)))
    return made


def shuffled(made: Sequence[str]) -> list[str]:
    """The same texts, all their words in no order."""
    rng, found = random.Random(1), []
    for text in made:
        words = rng.sample(text.split(), len(text.split()))
        found.append("\n".join(" ".join(words[a:b]) for a, b in pairwise(range(0, len(words) + 12, 12))))
    return found


def run(folder: Path, made: Sequence[str], steps: int, **train: object) -> tuple[Run, Verdict]:
    (folder / "data").mkdir()
    for number, text in enumerate(made):
        (folder / "data" / f"{number:03}.txt").write_text(text, encoding="utf-8")
    recipe = {
        "task": "write",
        "data": {"sources": [{"folder": str(folder / "data"), "licence": "CC0-1.0"}]},
        "prepare": {"workers": 1},
        "model": {"layers": 1, "width": 64, "context": 64},
        "train": {"budget": f"{steps} steps", "batch": 16, "previews": 0, **train},
        "evaluate": {"samples": 24},
    }
    (folder / "planted.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    genwright("run", folder / "planted.yaml", "--run-dir", folder / "runs/planted", "--device", "cpu", "--anyway")
    made_run = Run(folder / "runs/planted")
    found = ScoreSheet.read(made_run.stage("evaluate") / "scores.json").verdict
    assert found is not None
    return made_run, found


def genwright(*arguments: object) -> None:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        assert end.code in (0, None)


def test_ten_files_are_not_called_good_and_every_page_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    made, found = run(tmp_path, texts(10, 6), 6)
    assert found.grade in ("weak", "useless")
    assert not found.next.lower().startswith("more time") or training_of(made).would_go_on
    said = " ".join(capsys.readouterr().out.split())
    assert f"Verdict: {found.grade}. {found.why}" in said and f"Next: {found.next}" in said
    page = made.report.read_text(encoding="utf-8")
    assert page.index(found.why) < page.index('id="scores"')
    assert f"**{found.grade.capitalize()}.**" in (made.stage("export") / "README.md").read_text(encoding="utf-8")
    genwright("runs", "list", tmp_path / "runs", "--json")
    assert [one["verdict"] for one in json.loads(capsys.readouterr().out)] == [found.grade]
    genwright("runs", "show", made.folder)
    assert found.why in " ".join(capsys.readouterr().out.split())


def test_the_verdict_follows_the_training_where_the_scores_stand(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    made, _ = run(tmp_path, texts(10, 6), 6)
    file = made.stage("evaluate") / "scores.json"
    sheet = ScoreSheet.read(file)
    sheet.verdict = Verdict(grade="good", why="It was.", next="More time.")
    sheet.write(file)
    genwright("run", made.folder, "--device", "cpu")
    assert "evaluate  up to date" in capsys.readouterr().err
    now = ScoreSheet.read(file)
    assert now.verdict is not None and now.verdict.why != "It was."
    assert now.verdict.why in made.report.read_text(encoding="utf-8")
    assert read_json(made.stage("evaluate") / "stage.json")["summary"]["verdict"] == now.verdict.grade


@pytest.mark.slow
def test_a_model_that_has_learned_is_good(tmp_path: Path) -> None:
    assert run(tmp_path, texts(240, 40), 300)[1].grade == "good"


@pytest.mark.slow
def test_words_in_no_order_are_useless(tmp_path: Path) -> None:
    found = run(tmp_path, shuffled(texts(240, 40)), 300)[1]
    assert found.grade == "useless" and "order" in found.why


@pytest.mark.slow
def test_few_texts_trained_on_far_too_long_are_weak_or_useless(tmp_path: Path) -> None:
    found = run(tmp_path, texts(12, 6), 600, validate_times=0)[1]
    assert found.grade in ("weak", "useless") and not found.next.startswith("More time")
