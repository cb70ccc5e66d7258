"""Conditions of the task write: headers that survive any content, count in no loss, and lose fields at random."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.duplicates.lines import clusters
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.base import Moment
from genwright.ledger import Item
from genwright.model import Model
from genwright.model_folder import build_parts, load, save
from genwright.recipe import EvaluateSettings, recipe_class
from genwright.request import request_class
from genwright.shards import ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.write.conditions import fields_of, header, leave_out, requested, with_header
from genwright.tasks.write.task import Write

CPU = torch.device("cpu")
LEVEL = set("山花風雲黃人流樓舟秋")
AUTHORS = ["李白", "杜甫", "<|title|>", "蘇軾 <|text|>"]


def make_task(*condition: str, group: tuple[str, ...] = (), group_by_lines: float | None = None, **model) -> Write:
    schema = recipe_class("write", "transformer")
    prepare = schema.model_fields["prepare"].annotation(
        condition=list(condition), group=list(group), group_by_lines=group_by_lines, tokenizer="characters"
    )
    return Write(prepare, schema.model_fields["model"].annotation(**model), "transformer")


def row(number: int, text: str, **fields: str) -> Item:
    return Item(id=str(number), source="t", path="poems.json", row=number, fields={"text": text, **fields})


def poem(rng: np.random.Generator) -> str:
    """Four lines of five characters whose even lines rhyme; the author says which rhyme."""
    letters = "日月山水花鳥風雲白黃千里不人"
    rhyme = rng.permutation(list("流樓舟秋"))
    lines = ["".join(rng.choice(list(letters), 4)) for _ in range(4)]
    ends = [str(rng.choice(list(letters))), str(rhyme[0]), str(rng.choice(list(letters))), str(rhyme[1])]
    a, b, c, d = [line + end for line, end in zip(lines, ends, strict=True)]
    return f"{a}，{b}。\n{c}，{d}。"


def tones(text: str) -> str:
    return "".join(c if c in "，。\n" else "平" if c in LEVEL else "仄" for c in text)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> tuple[Model, Splits]:
    """A small model of invented poems by author, trained for a moment."""
    folder, rng = tmp_path_factory.mktemp("conditions"), np.random.default_rng(0)
    task = make_task("author", "title", layers=1, width=32, context=64)
    texts = [poem(rng) for _ in range(240)]
    items = [row(i, text, author=AUTHORS[i % 4], title="月夜", strains=tones(text)) for i, text in enumerate(texts)]
    facts = task.fit(items[:200])
    stores = {}
    for split, members in {"train": items[:200], "validation": items[200:220], "test": items[220:]}.items():
        write_part(folder / split, [(item.id, example) for item in members for example in task.encode(item, facts)])
        stores[split] = ExampleStore([folder / split])
    splits = Splits(stores, {item.id: item for item in items}, "hash")
    (config,) = task.candidates(facts, splits, CPU)
    torch.manual_seed(0)
    built = build_parts(task, config, facts, CPU)
    family, batches = built["model"], task.batches(stores["train"], facts, config, 0, "model")
    optimizer = torch.optim.AdamW(family.modules.parameters(), lr=1e-2)
    for step in range(60):
        family.loss("model", batches.batch(8 * step, 8), torch.Generator(), Moment()).value.backward()
        optimizer.step()
        optimizer.zero_grad()
    return Model(task, config, facts, built, CPU), splits


@given(
    author=st.text(st.characters(codec="utf-8"), max_size=20),
    title=st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=20)),
    text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(str.strip),
)
@settings(max_examples=60, deadline=None)
def test_a_header_survives_any_content(author, title, text):
    task = make_task("author", "title")
    fields = {"author": author, **({"title": title} if title is not None else {})}
    item = row(0, text, **fields)
    facts = task.fit([row(1, "月", author="<|title|>", title="x")])
    (example,) = task.encode(item, facts)
    tokens, weight = example["tokens"], example["weight"]
    assert facts.decode(tokens[weight == 1]) == text
    marks = [facts.special[name] for name in ("<|author|>", "<|title|>", "<|text|>")]
    found = [int(t) for t in tokens if int(t) in marks]
    expected = [mark for mark, name in zip(marks, ("author", "title"), strict=False) if fields.get(name, "").strip()]
    assert found == [*expected, marks[-1]]
    for number, name in ((1, "author"), (2, "title")):
        assert facts.decode(tokens[example["field"] == number]) == fields.get(name, "").strip()[:200]


def test_headers_do_not_count_in_the_loss(lab):
    model, splits = lab
    batch = model.task.batches(splits["test"], model.facts, model.config, 0, "model", training=False).batch(0, 5)
    special = torch.tensor([model.facts.special[n] for n in ("<|author|>", "<|title|>", "<|text|>")])
    targets = batch["tokens"][:, 1:]
    assert (batch["mask"][torch.isin(targets, special)] == 0).all()
    texts = sum(len(example["tokens"][example["weight"] == 1]) for example in (splits["test"][i] for i in range(20)))
    rows = model.task.batches(splits["test"], model.facts, model.config, 0, "model", training=False)
    whole = rows.batch(0, rows.pass_examples)
    assert int(whole["mask"].sum()) == texts


def test_fields_are_left_out_at_random_and_nothing_else():
    task = make_task("author", "title")
    facts = task.fit([row(0, "月", author="李", title="夜")])
    example = with_header(facts, facts.encode("月"), {"author": "李", "title": "夜"}, ["author", "title"])
    seen = set()
    for seed in range(200):
        less = leave_out(example, np.random.default_rng(seed))
        assert facts.decode(less["tokens"][less["weight"] == 1]) == "月"
        assert {len(values) for values in less.values()} == {len(less["tokens"])}
        seen.add(tuple(sorted(set(less["field"].tolist()))))
    assert seen == {(0, 1, 2, 255), (0, 1, 255), (0, 2, 255), (0, 255)}
    assert np.array_equal(
        leave_out(example, np.random.default_rng(3))["tokens"], leave_out(example, np.random.default_rng(3))["tokens"]
    )


def test_the_folder_is_a_field_of_files_but_not_of_rows():
    file = Item(id="1", source="f", path="site/news/a.txt")
    assert fields_of(file, ["folder"]) == {"folder": "news"}
    assert fields_of(Item(id="2", source="f", path="a.txt"), ["folder"]) == {}
    assert fields_of(row(0, "x"), ["folder"]) == {}
    assert fields_of(Item(id="3", source="f", path="p/a.txt", fields={"folder": "mine"}), ["folder"]) == {
        "folder": "mine"
    }


def test_a_field_that_no_item_has_is_a_slip_of_the_pen():
    with pytest.raises(RequestError, match=r"`prepare.condition` names `autor`.*did you mean `author`\?"):
        make_task("autor").fit([row(0, "x", author="y")])
    with pytest.raises(RequestError, match=r"names `year`, a field that no item has; fields are none"):
        make_task("year").fit([row(0, "x")])


@pytest.mark.parametrize("names", [["text"], ["a b"], ["author", "author"], ["<|x|>"], [""]])
def test_names_that_can_be_no_condition(names):
    with pytest.raises(ValueError, match=r"no condition|twice"):
        make_task(*names)


def test_requested_fields(lab):
    assert requested(["title=a=b", "author= 李白 "], ["author", "title"]) == {"title": "a=b", "author": "李白"}
    with pytest.raises(RequestError, match="trained without any"):
        requested(["author=x"], [])


def test_a_long_text_has_its_header_before_every_block():
    task = make_task("author")
    text = "\n".join("明月" * 20 for _ in range(200))
    item = row(0, text, author="李白")
    facts = task.fit([item])
    examples = list(task.encode(item, facts))
    assert len(examples) > 2
    texts = [example["tokens"][example["weight"] == 1] for example in examples]
    assert facts.decode(np.concatenate(texts)) == text
    assert [int((t == facts.end_token).sum()) for t in texts] == [0] * (len(texts) - 1) + [1]
    head = header(facts, {"author": "李白"}, ["author"])[0]
    assert all(np.array_equal(example["tokens"][: len(head)], head) for example in examples)


def test_texts_with_equal_fields_stay_together():
    task = make_task(group=("author", "year"))
    keys = [task.group_key(row(i, "ab"[i % 2], author=a)) for i, a in enumerate(("x", "x", "y"))]
    assert keys[0] == keys[1] != keys[2]
    assert task.group_key(row(0, "a")) == make_task().group_key(row(0, "a"))


POEM = "床前明月光，疑是地上霜。\n舉頭望明月，低頭思故鄉。"


def test_editions_of_a_poem_stay_together():
    task = make_task(group_by_lines=0.5)
    texts = [
        POEM,
        "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。",
        "牀前看月光，疑是地上霜。舉頭望山月，低頭思故鄉。",
        "疑是地上霜。其餘皆不同，山水有清音。",
        "低頭思故鄉。",
    ]
    items = [row(i, text) for i, text in enumerate(texts)]
    own = [task.group_key(item) for item in items]
    assert task.group_keys(items, ()) == [own[0], own[1], own[0], own[3], own[4]]
    # What was given a split before keeps it, and takes what is new along.
    assert task.group_keys(items, {own[2]}) == [own[2], own[1], own[2], own[3], own[4]]
    assert task.group_keys(items, {own[0], own[2]})[:3] == [own[0], own[1], own[2]]
    assert make_task().group_keys(items, ()) == own


def test_a_formula_brings_nothing_together():
    formula = "且聽下回分解，欲知後事如何。"
    roots = clusters([f"第{chr(0x4E00 + i)}回的故事，{formula}" for i in range(80)], 0.5)
    assert len(set(roots)) == 80


def test_asking_for_another_author_changes_the_text(lab):
    model, _ = lab
    request = request_class("write", "transformer")

    def write(**options) -> str:
        asked = request(max_tokens=30, **options)
        return "".join(piece.data for piece in model.task.answer(model, asked, Engine()))

    assert write(condition=["author=李白"]) == write(condition={"author": "李白"}) != write()
    prompt = model.task.prompt(model, request(condition=["title=月夜"], prompt="白日"))
    assert model.facts.decode(prompt) == "月夜白日"
    long = model.task.prompt(model, request(condition=["title=月夜"], prompt="白日" * 100))
    assert len(long) <= 48 and model.facts.special["<|title|>"] in long


def test_scores_of_conditioned_verse(lab, tmp_path: Path):
    model, splits = lab
    sheet = model.task.score(model, splits, EvaluateSettings(samples=20), lambda *_: None, tmp_path)
    rows = {r.kind: r.scores for r in sheet.rows}
    assert set(rows) == {"floor", "baseline", "model", "real"}
    assert rows["real"]["verse_form"].value == 1 and rows["real"]["verse_rhyme"].value == 1
    assert rows["floor"]["verse_rhyme"].value < 0.5
    assert rows["real"]["verse_tones"].n
    assert rows["model"]["bits_per_byte_alone"].value > 0
    assert 0 < rows["model"]["variety"].value < 1.5
    assert sheet.protocol["prompts"] == "the conditions of held-out texts" and sheet.protocol["samples"] == 20
    assert "form of regulated verse" in sheet.headline
    shown = (tmp_path / "samples.txt").read_text(encoding="utf-8")
    assert shown.startswith("author=") and ">>>\n" in shown
    # The score is that of the plain sum over the texts, headers read but not counted.
    nats = counted = 0.0
    for i in range(20):
        example = splits["test"][i]
        tokens = torch.from_numpy(np.concatenate([[model.facts.end_token], example["tokens"]]).astype(np.int64))[None]
        nats += float((model.family.nats(tokens)[0].detach() * torch.tensor(np.array(example["weight"]))).sum())
        counted += int(model.facts.byte_lengths[example["tokens"][example["weight"] == 1]].sum())
    assert rows["model"]["bits_per_byte"].value == pytest.approx(nats / counted / math.log(2), rel=1e-5)
    assert rows["model"]["bits_per_byte"].n == len(set(splits["test"].ids)) >= 20


def test_previews_and_the_model_folder(lab, tmp_path: Path):
    model, splits = lab
    text = model.task.preview(model, Engine(), splits, tmp_path / "p").read_text(encoding="utf-8")
    assert text.count(">>>\n") == 3 and "title=月夜>>>" in text
    save(model, tmp_path / "model")
    again = load(tmp_path / "model", CPU)
    assert again.facts.special == model.facts.special
    asked = request_class("write", "transformer")(condition=["author=杜甫"], max_tokens=20)
    assert [p.data for p in again.task.answer(again, asked, Engine())] == [
        p.data for p in model.task.answer(model, asked, Engine())
    ]
