"""A folder of texts by kind, from recipe to answer: the kind is asked for, near-duplicates stay together, the report stands."""

from pathlib import Path

from genwright import api
from genwright.ledger import read_run
from genwright.run import open_run
from helpers import ASSETS

TEXT = ASSETS / "text"


def test_texts_of_several_kinds(tmp_path: Path):
    data = tmp_path / "texts"
    sonnets = (TEXT / "sonnets.txt").read_text(encoding="utf-8").split("\n\n\n")
    scenes = (TEXT / "comedy_of_errors.txt").read_text(encoding="utf-8").split("\n\n")
    for kind, texts in (("poem", sonnets), ("play", scenes)):
        (data / kind).mkdir(parents=True)
        for number, text in enumerate([t for t in texts if len(t) > 200][:30]):
            (data / kind / f"{number}.txt").write_text(text, encoding="utf-8")
    copy = (data / "poem" / "1.txt").read_text(encoding="utf-8").upper() + "\nanother edition, with another end"
    (data / "poem" / "edition-a.txt").write_text(copy, encoding="utf-8")
    (data / "poem" / "edition-b.txt").write_text(f"A preface of some words.\n{copy}", encoding="utf-8")
    recipe = tmp_path / "kinds.yaml"
    recipe.write_text(
        "task: write\ndata: {sources: [{folder: texts}]}\n"
        "prepare: {condition: [folder], group_by_lines: 0.5, tokenizer: characters}\n"
        "model: {layers: 1, width: 32, context: 64}\n"
        "train: {budget: 6 steps, batch: 4, validate_times: 1, previews: 1}\nevaluate: {samples: 4}\n"
    )
    made = api.run(recipe, run_dir=tmp_path / "run", anyway=True)
    items = {item.path: item for item in read_run(open_run(tmp_path / "run"))}
    assert items["poem/edition-a.txt"].split == items["poem/edition-b.txt"].split
    assert items["poem/edition-a.txt"].group == items["poem/edition-b.txt"].group
    answers = ["".join(p.data for p in made.generate(condition={"folder": kind}, max_tokens=40)) for kind in ("poem", "play")]  # fmt: skip
    assert answers[0] != answers[1]
    assert made.scores.protocol["prompts"] == "the conditions of held-out texts"
    assert "bits_per_byte_alone" in made.scores.row("model").scores
    assert "verse_form" not in made.scores.row("model").scores
    samples = (tmp_path / "run" / "evaluate" / "samples.txt").read_text(encoding="utf-8")
    assert samples.startswith("folder=")
    assert "--condition folder=" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
