"""From a passage to its sources: the right document, the exact run, every script, and what is said where there is nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.explain import corpus as corpora
from genwright.explain import nearest as module
from genwright.explain.corpus import Corpus, open_corpus
from genwright.explain.nearest import nearest
from genwright.explain.view import explain_nearest
from genwright.model_folder import build_task
from genwright.run import Run, write_atomic
from genwright.stages.collect import stage as collect
from genwright.stages.prepare import stage as prepare
from helpers import ASSETS

SONNETS = (ASSETS / "text" / "sonnets.txt").read_text(encoding="utf-8").split("\n\n")
CHINESE = [
    "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。",
    "春眠不覺曉，處處聞啼鳥。夜來風雨聲，花落知多少。",
    "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。",
]
EMOJI = ["🌊🌊 the sea 🦊🌲 and a fox 🦊 under two trees", "🦊🦊🦊 three foxes and no sea"]


def prepared(place: Path, texts: dict[str, str], task: str = "write", **more: Any) -> Run:
    folder, run = place / "texts", Run(place / "run")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    content = {"task": task, "data": {"sources": [{"folder": str(folder), "licence": "CC0-1.0"}]}} | more
    recipe = recipes.parse(yaml.safe_dump(content))
    run.folder.mkdir(exist_ok=True)
    write_atomic(run.folder / "recipe.yaml", recipe.to_yaml())
    collect.run(recipe, run, task=build_task(recipe), offline=True)
    prepare.run(recipe, run, task=build_task(recipe))
    return run


def in_training(run: Run) -> dict[str, str]:
    """Path -> text of what is learnt from."""
    task = build_task(recipes.load(run.folder / "recipe.yaml"))
    splits, facts = prepare.load_splits(run, task), prepare.load_facts(run, task)
    store = splits["train"]
    return {splits.items[store.ids[i]].path: facts.decode(store[i]["tokens"]) for i in range(len(store))}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    texts = {f"sonnet-{i:03}.txt": text for i, text in enumerate(SONNETS) if len(text) > 200}
    texts |= {f"poem-{i}.txt": text for i, text in enumerate(CHINESE * 2)} | {f"fox-{i}.txt": t for i, t in enumerate(EMOJI)}  # fmt: skip
    texts["copy.txt"] = "A second hand.\n" + CHINESE[0] + "\n"
    return prepared(tmp_path_factory.mktemp("nearest"), texts)


def paths_of(run: Run, found: module.Found) -> list[str]:
    from genwright import ledger

    items = {item.id: item for item in ledger.read(run.stage("collect") / ledger.LEDGER)}
    return [items[one.item].path for one in found.neighbours]


def test_every_training_text_is_nearest_to_a_piece_of_itself(run: Run) -> None:
    corpus, draw = open_corpus(run), random.Random(0)
    learnt = in_training(run)
    for path, text in draw.sample(sorted(learnt.items()), 25):
        start = draw.randrange(max(len(text) // 2, 1))
        piece = text[start : start + 60].strip()
        found = nearest(corpus, piece, 3)
        best = found.neighbours[0]
        assert path in paths_of(run, found) or best.run.text in text
        assert best.run.text == piece and best.similarity == pytest.approx(1) and best.shared == 1


def test_a_changed_passage_finds_its_source_and_the_exact_run(run: Run) -> None:
    learnt = in_training(run)
    path, text = next((p, t) for p, t in sorted(learnt.items()) if p.startswith("sonnet"))
    middle = text[100:150]
    found = nearest(open_corpus(run), "Zounds quixotic, jumping " + middle + " forsooth vexing wizards", 5)
    best = found.neighbours[0]
    assert paths_of(run, found)[0] == path
    assert (
        middle in best.run.text and best.run.text in text and best.run.passage_start <= len("Zounds quixotic, jumping ")
    )
    assert (best.run.before + best.run.text + best.run.after) in text
    assert 0.2 < best.similarity < 0.9
    assert [one.similarity for one in found.neighbours] == sorted(
        (o.similarity for o in found.neighbours), reverse=True
    )


def test_chinese_and_emoji_are_found_by_short_runs(run: Run) -> None:
    learnt = in_training(run)
    line = next(text for text in learnt.values() if text in CHINESE)[:5]
    found = nearest(open_corpus(run), f"夜半{line}人不知", 2)
    assert found.window == 3 and found.neighbours[0].run.text.startswith(line)
    fox = next((text for text in learnt.values() if text in EMOJI), None)
    if fox:
        found = nearest(open_corpus(run), f"qq{fox[:12]}qq", 1)
        assert found.neighbours[0].run.text == fox[:12]


def test_a_run_that_stands_in_several_documents_is_said_once(tmp_path: Path) -> None:
    shared = "A line that stands in many hands, and word for word in each of them."
    texts = {f"{i:02}.txt": f"Text number {i} begins so.\n{shared}\nAnd number {i} ends.\n" for i in range(30)}
    run = prepared(tmp_path, texts)
    learnt = in_training(run)
    found = nearest(open_corpus(run), f"xyz {shared} zyx", 5)
    assert len(found.neighbours) == 1
    assert len(found.neighbours[0].same_run_in) == len(learnt) - 1 > 10


def test_the_texts_are_read_once_until_the_data_changes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = prepared(tmp_path, {f"{i}.txt": f"Text {i}: {SONNETS[i % 9]}" for i in range(25)})
    written = []
    real = corpora._write
    monkeypatch.setattr(corpora, "_write", lambda *a: (written.append(1), real(*a)))
    open_corpus(fresh)
    open_corpus(fresh)
    assert len(written) == 1
    for number in range(12):
        (tmp_path / "texts" / f"new-{number}.txt").write_text(
            f"The heron {number} stands in grey water, quite alone.\n"
        )
    recipe = recipes.load(fresh.folder / "recipe.yaml")
    collect.run(recipe, fresh, task=build_task(recipe), offline=True)
    prepare.run(recipe, fresh, task=build_task(recipe))
    found = nearest(open_corpus(fresh), "the heron stands in grey water", 1)
    assert len(written) == 2 and found.neighbours[0].run.text == " stands in grey water"


def test_no_window_crosses_from_one_document_into_the_next(run: Run) -> None:
    corpus = open_corpus(run)
    first, second = (corpus.text(*corpus.span(d)) for d in (0, 1))
    joined = first.rstrip("\n")[-10:] + second[:10]
    assert nearest(corpus, joined, 5).neighbours[0].run.length < len(joined)
    assert int((np.asarray(corpus.units) == corpora.END).sum()) == len(corpus)


def test_pieces_and_common_windows_change_nothing_that_matters(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = open_corpus(run)
    passage = in_training(run)[paths_of(run, nearest(corpus, "summer's day", 1))[0]][:300]
    whole = nearest(corpus, passage, 5)
    monkeypatch.setattr(module, "_PIECE", 1000)
    assert nearest(corpus, passage, 5) == whole
    monkeypatch.setattr(module, "_MOST_PAIRS", 200)
    fewer = nearest(corpus, passage, 5)
    assert fewer.neighbours[0].item == whole.neighbours[0].item and fewer.neighbours[0].run == whole.neighbours[0].run


def test_what_cannot_be_compared_is_one_sentence(run: Run, tmp_path: Path) -> None:
    corpus = open_corpus(run)
    with pytest.raises(RequestError, match="the passage is empty"):
        nearest(corpus, " \n")
    with pytest.raises(RequestError, match=r"30,000 characters and 20,000 are the most"):
        nearest(corpus, "x" * 30_000)
    with pytest.raises(RequestError, match="--nearest-file"):
        explain_nearest(run.folder, None, None, 5, False)
    binary = tmp_path / "b.txt"
    binary.write_bytes(bytes(range(128, 256)))
    with pytest.raises(RequestError, match=r"b\.txt: can't be read \(it is no UTF-8 text\)"):
        explain_nearest(run.folder, None, binary, 5, False)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    with pytest.raises(RequestError, match=r"model: the training data does not stand here.*name the run"):
        explain_nearest(model, "x", None, 5, False)
    assert nearest(corpus, "ЖЩЪ", 5).neighbours == []


def test_from_the_command_line_with_where_it_comes_from(run: Run) -> None:
    learnt = in_training(run)
    path, text = next((p, t) for p, t in sorted(learnt.items()) if p.startswith("sonnet"))

    def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "genwright", "explain", str(run.folder), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "COLUMNS": "200"},
        )

    shown = explain("--nearest", text[50:120])
    assert shown.returncode == 0, shown.stderr
    assert path in shown.stdout and "CC0-1.0" in shown.stdout and f"⟦{text[50:120]}⟧" in shown.stdout
    printed = json.loads(explain("--nearest", text[50:120], "-n", "2", "--json").stdout)
    best = printed["nearest"][0]
    assert best["path"] == path and best["licence"] == "CC0-1.0" and best["source"].startswith("folder:")
    assert best["run"]["text"] == text[50:120] and printed["documents"] == len(learnt)


def test_a_corpus_keeps_texts_as_they_are(run: Run) -> None:
    corpus = open_corpus(run)
    assert isinstance(corpus, Corpus)
    assert sorted(corpus.text(*corpus.span(d)) for d in range(len(corpus))) == sorted(in_training(run).values())


def test_conversations_are_traced_too(tmp_path: Path) -> None:
    lines = [
        {"messages": [{"role": "user", "content": f"What of sonnet {i}?"}, {"role": "assistant", "content": text}]}
        for i, text in enumerate(SONNETS[3:60])
    ]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    recipe = recipes.parse(
        yaml.safe_dump({"task": "chat", "data": {"sources": [{"table": str(tmp_path / "talk.jsonl")}]}})
    )
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    write_atomic(run.folder / "recipe.yaml", recipe.to_yaml())
    collect.run(recipe, run, task=build_task(recipe), offline=True)
    prepare.run(recipe, run, task=build_task(recipe))
    corpus = open_corpus(run)
    text = next(corpus.text(*corpus.span(d)) for d in range(len(corpus)) if len(corpus.text(*corpus.span(d))) > 300)
    passage = text[150:260]
    best = nearest(corpus, passage, 1).neighbours[0]
    assert best.run.text == passage and "messages" not in text and "What of sonnet" in text
