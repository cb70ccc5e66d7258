"""The task write: blocks, windows, streaming answers, and a model folder that transformers reads."""

import hashlib
import json
import math
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.engine.engine import Engine
from genwright.families.base import Moment
from genwright.families.transformer.options import Controls
from genwright.ledger import Drop, Item
from genwright.model import Model
from genwright.model_folder import build_parts, load, save
from genwright.recipe import EvaluateSettings, recipe_class
from genwright.registry import METRICS, Entry
from genwright.request import request_class
from genwright.seeds import request_stream
from genwright.shards import ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.text import sizes as text_sizes
from genwright.tasks.text.nats import document_nats
from genwright.tasks.text.samples import prompts_and_continuations
from genwright.tasks.text.task import item_text
from genwright.tasks.write.task import Write, blocks
from genwright.tokens.fit import vocabulary_for
from genwright.tokens.tokenizer import Tokenizer
from helpers import ASSETS

TEXT = ASSETS / "text"
CPU = torch.device("cpu")
Request = request_class("write", "transformer")


def make_task(**model) -> Write:
    schema = recipe_class("write", "transformer")
    prepare = schema.model_fields["prepare"].annotation(tokenizer="bpe", vocabulary=400)
    return Write(prepare, schema.model_fields["model"].annotation(**model), "transformer")


def item_for(text: str, folder: Path) -> Item:
    file = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.txt"
    file.write_bytes(text.encode())
    return Item(id=file.stem, source="folder", path=file.name, file=str(file), bytes=file.stat().st_size)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A small model of the sonnets, trained for a moment, with its splits."""
    folder = tmp_path_factory.mktemp("write")
    task = make_task(layers=1, width=32, context=64)
    text = (TEXT / "sonnets.txt").read_text(encoding="utf-8")[:30_000]
    items = [item_for(text[start:stop], folder) for start, stop in blocks(text)]
    facts = task.fit(items[:-4])
    parts = {"train": items[:-4], "validation": items[-4:-2], "test": items[-2:], "judge": []}
    stores = {}
    for split, members in parts.items():
        examples = [(item.id, example) for item in members for example in task.encode(item, facts)]
        write_part(folder / split, examples)
        stores[split] = ExampleStore([folder / split])
    splits = Splits(stores, {item.id: item for item in items}, "hash")
    (config,) = task.candidates(facts, splits, CPU)
    torch.manual_seed(0)
    built = build_parts(task, config, facts, CPU)
    family, batches = built["model"], task.batches(stores["train"], facts, config, 0, "model")
    optimizer = torch.optim.AdamW(family.modules.parameters(), lr=1e-2)
    for step in range(40):
        loss = family.loss("model", batches.batch(8 * step, 8), torch.Generator(), Moment())
        loss.value.backward()
        optimizer.step()
        optimizer.zero_grad()
    return Model(task, config, facts, built, CPU), splits


def test_learning_lowers_the_held_out_loss(lab):
    model, splits = lab
    batches = model.task.batches(splits["validation"], model.facts, model.config, 0, "model", training=False)
    loss = model.family.validate(batches.batch(0, batches.pass_examples), torch.Generator(), Moment())
    assert loss is not None
    assert loss.value < math.log(model.facts.size) - 0.5


# --- blocks and encoding


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=400), max_size=200),
)
@settings(max_examples=40, deadline=None)
def test_blocks_cover_a_text_without_gaps(lines):
    text = "\n".join(lines) * 3
    spans = blocks(text)
    if len(text) <= 3000:
        assert spans == []
    if spans:
        assert spans[0][0] == 0 and spans[-1][1] == len(text)
        assert all(a[1] == b[0] for a, b in pairwise(spans))
        assert all(stop - start >= 1000 for start, stop in spans)


def test_blocks_end_at_lines_and_there_are_about_a_hundred():
    text = (TEXT / "comedy_of_errors.txt").read_text(encoding="utf-8") * 4
    spans = blocks(text, count=100)
    assert 90 <= len(spans) <= 110
    assert all(text[start - 1] == "\n" for start, _ in spans[1:])


def test_one_giant_line_is_cut_all_the_same():
    assert len(blocks("x" * 10_000)) == 5


def test_only_the_last_block_of_a_text_ends_it(tmp_path):
    task = make_task()
    text = (TEXT / "sonnets.txt").read_text(encoding="utf-8")[:9000]
    whole = item_for(text, tmp_path)
    facts = task.fit([whole])
    tokens = []
    for start, stop in task.divide(whole):
        child = Item(id=f"x#{start}", source="folder", path="x", file=whole.file, start=start, stop=stop)
        (example,) = task.encode(child, facts)
        tokens.append(example["tokens"])
    assert len(tokens) > 2
    assert [int((t == facts.end_token).sum()) for t in tokens] == [0] * (len(tokens) - 1) + [1]
    assert facts.decode(np.concatenate(tokens)) == text


def test_a_table_row_brings_its_own_text():
    task = make_task()
    row = Item(id="1", source="table", path="t.jsonl", row=0, fields={"text": "床前明月光"})
    facts = task.fit([row])
    (example,) = task.encode(row, facts)
    assert facts.decode(example["tokens"]) == "床前明月光"
    assert example["tokens"][-1] == facts.end_token
    assert item_text(Item(id="2", source="t", path="p")) == Drop("missing_text", "a table row without a text field")


@pytest.mark.parametrize(("text", "reason"), [(" \n\t ", "empty"), ("short", "too_small")])
def test_texts_that_teach_nothing_are_dropped(tmp_path, text, reason):
    task = make_task()
    task.prepare = task.prepare.model_copy(update={"min_characters": 10})
    facts = task.fit([item_for("enough text to learn a few tokens from", tmp_path)])
    (drop,) = task.encode(item_for(text, tmp_path), facts)
    assert isinstance(drop, Drop) and drop.reason == reason


def test_vocabularies_grow_with_the_text():
    sizes = [vocabulary_for(size) for size in (10_000, 1_000_000, 5_000_000, 50_000_000, 10**10)]
    assert sizes[0] is None
    assert [s or 0 for s in sizes] == sorted(s or 0 for s in sizes)


# --- sizes


def test_sizes_grow_and_settings_are_fixed_in_all():
    free = text_sizes.candidates(make_task().model, 512, 10**9)
    counts = [text_sizes.parameters(text_sizes.DecoderConfig(**c.network)) for c in free]
    assert counts == sorted(counts) and len(counts) >= 5
    assert counts[0] < 300_000 and 20_000_000 < counts[-1] < 40_000_000
    fixed = text_sizes.candidates(make_task(layers=3, context=100).model, 512, 10**9)
    assert {(c.network["num_hidden_layers"], c.network["max_position_embeddings"]) for c in fixed} == {(3, 100)}
    assert len(text_sizes.candidates(make_task(layers=3, width=64, context=100).model, 512, 10**9)) == 1
    assert len(text_sizes.candidates(make_task().model, 512, 1000)) == 1


def test_parameters_are_counted_right():
    from genwright.networks.decoder import Decoder

    network = text_sizes.network_for(2, 96, 64, 300)
    norms = 2 * (2 * 96 + 2 * 32) + 96
    assert text_sizes.parameters(network) + norms == sum(p.numel() for p in Decoder(network).parameters())


# --- answers


def answer(model: Model, **request) -> list[str]:
    texts: dict[int, str] = {}
    for media in model.task.answer(model, Request(**request), Engine()):
        texts[media.index] = texts.get(media.index, "") + media.data
    return [texts[i] for i in sorted(texts)]


def test_the_same_seed_gives_the_same_text_whatever_its_company(lab):
    model, _ = lab
    many = answer(model, prompt="From fairest", n=20, max_tokens=12, seed=5)  # more than there are slots
    assert len(many) == 20 and len(set(many)) > 10
    assert many[:2] == answer(model, prompt="From fairest", n=2, max_tokens=12, seed=5)
    assert many[0] != answer(model, prompt="From fairest", max_tokens=12, seed=6)[0]


def test_an_answer_streams_and_ends_each_output_once(lab):
    model, _ = lab
    pieces = list(model.task.answer(model, Request(prompt="Shall I", n=3, max_tokens=10), Engine()))
    assert sorted(media.index for media in pieces if media.final) == [0, 1, 2]
    assert sum(media.index == 0 for media in pieces) > 5


def test_an_answer_that_is_given_up_frees_its_slots(lab):
    model, _ = lab
    pieces = model.task.answer(model, Request(prompt="Shall I", n=3, max_tokens=50), Engine())
    next(pieces)
    pieces.close()
    assert len(model.session().cache._free) == 16


def test_characters_of_several_tokens_arrive_whole(lab):
    model, _ = lab
    fox = model.facts.encode("🦊")
    assert len(fox) == 4

    request = Request(prompt="a", regex="🦊🦊🦊", max_tokens=10)
    pieces = [m.data for m in model.task.answer(model, request, Engine())]
    assert pieces == ["🦊", "🦊", "\ufffd"]  # ten tokens: the third is cut after two of four bytes


def test_random_streams_differ_by_seed_and_by_output():
    numbers = {float(torch.rand((), generator=request_stream(seed, index))) for seed in (-1, 0, 1) for index in (0, 1)}
    assert len(numbers) == 6


# --- the model folder, in transformers


@pytest.fixture(scope="module")
def saved(lab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save(lab[0], folder)
    return folder


def test_transformers_reads_the_folder_and_agrees(lab, saved, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, _ = lab
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(saved).eval(), AutoTokenizer.from_pretrained(saved)
    text = "Shall I compare thee to a <|endoftext|> day? 漢"
    tokens = tokenizer(text, return_tensors="pt").input_ids
    assert tokens[0].tolist() == model.facts.encode(text).tolist()
    assert tokenizer.decode(tokens[0]) == text
    with torch.inference_mode():
        ours = model.family.network(tokens)
        assert (theirs(tokens).logits - ours).abs().max() < 1e-4
    prompt = tokenizer("From fairest", return_tensors="pt")
    generated = theirs.generate(**prompt, max_new_tokens=15, do_sample=False)[0, prompt.input_ids.shape[1] :].tolist()
    session = model.session()
    mine = list(
        Engine().submit(
            session,
            lambda s: s.start(prompt.input_ids[0].tolist(), torch.Generator(), Controls(temperature=0, max_tokens=15)),
        )
    )
    assert [token for token in generated if token != model.facts.end_token] == mine
    assert len(mine) > 3


def test_the_folder_comes_back_as_the_same_model(lab, saved):
    model, _ = lab
    again = load(saved, CPU)
    asked = {"prompt": "From", "max_tokens": 10, "temperature": 1.0, "n": 2}
    assert answer(again, **asked) == answer(model, **asked)
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    assert json.loads((saved / "generation_config.json").read_text())["eos_token_id"] == Tokenizer.load(saved).end_token


# --- previews and scores


def test_previews_go_on_from_held_out_lines(lab, tmp_path):
    model, splits = lab
    file = model.task.preview(model, Engine(), splits, tmp_path / "step-1")
    again = model.task.preview(model, Engine(), splits, tmp_path / "step-2")
    text = file.read_text(encoding="utf-8")
    assert text == again.read_text(encoding="utf-8")
    held_out = model.facts.decode(splits["validation"].flat("tokens"))
    starts = [passage.strip()[:8] for passage in text.split("----")]
    assert len(starts) == 3
    assert all(start in held_out for start in starts)


def test_scores_show_baseline_model_and_real_text(lab, tmp_path):
    model, splits = lab
    sheet = model.task.score(model, splits, EvaluateSettings(samples=3), lambda *_: None, tmp_path)
    assert [row.kind for row in sheet.rows] == ["baseline", "model", "real"]
    assert sheet.protocol["split_hash"] == "hash" and sheet.protocol["split"] == "test"
    model_row, real = sheet.row("model").scores, sheet.row("real").scores
    assert "bits_per_byte" not in real
    assert set(model_row) == {m.name for m in sheet.metrics}
    assert model_row["distinct_1"].n == real["distinct_1"].n
    for exhibit in sheet.exhibits:
        assert (tmp_path / exhibit.file).read_text(encoding="utf-8").strip()
    assert [e.shows_training_items for e in sheet.exhibits if e.name == "longest_copy"] == [True]
    assert "Too little text is held out" in sheet.headline and not any(map(str.isdigit, sheet.headline))


class Vowels:
    """A metric from outside the package."""

    name, title, medium, better = "vowels", "Vowels", "text", "none"

    def __call__(self, generated: list[str], reference: list[str]) -> float:
        assert all(isinstance(text, str) for text in reference)
        return sum(text.count("e") for text in generated) / sum(map(len, generated))


def test_a_metric_from_outside_stands_in_every_row(lab, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "outside_vowels", SimpleNamespace(Vowels=Vowels))
    METRICS.register("vowels", Entry("outside_vowels:Vowels"))
    try:
        model, splits = lab
        sheet = model.task.score(model, splits, EvaluateSettings(samples=2), lambda *_: None, tmp_path)
    finally:
        METRICS.unregister("vowels")
    assert [("vowels" in row.scores) for row in sheet.rows] == [True, True, True]
    assert 0 < sheet.row("real").scores["vowels"].value < 1


def test_without_held_out_text_nothing_is_claimed(lab, tmp_path):
    model, splits = lab
    bare = Splits({**splits.stores, "validation": ExampleStore([]), "test": ExampleStore([])}, {}, "hash")
    sheet = model.task.score(model, bare, EvaluateSettings(), lambda *_: None, tmp_path)
    assert sheet.row("model").scores == {}
    assert "too little text" in sheet.headline
    assert model.task.preview(model, Engine(), bare, tmp_path / "step").exists()


def test_bits_per_byte_of_the_sheet_are_those_of_the_plain_sum(lab, tmp_path):
    model, splits = lab
    documents = [splits["test"][i]["tokens"] for i in range(len(splits["test"]))]
    context = model.family.network.config.max_position_embeddings
    nats = document_nats(model.family, documents, model.facts.end_token, CPU)
    for document, costs in zip(documents, nats, strict=True):
        led_in = np.concatenate([[model.facts.end_token], document]).astype(np.int64)
        for place in (0, 5, context - 1, context, 3 * context // 2 + 3, len(document) - 1):
            # The window that gives the token most context starts at a multiple of half a context.
            start = max(0, -(-(place + 1 - context) // (context // 2)) * (context // 2))
            before = torch.from_numpy(led_in[start : place + 1])[None]
            with torch.inference_mode():
                logits = model.family.network(before)[0, -1]
            assert costs[place] == pytest.approx(-float(logits.log_softmax(-1)[led_in[place + 1]]), abs=1e-4)
    sheet = model.task.score(model, splits, EvaluateSettings(samples=2), lambda *_: None, tmp_path)
    size = sum(len(model.facts.decode(document).encode()) for document in documents)
    total = sum(costs.sum() for costs in nats)
    assert sheet.row("model").scores["bits_per_byte"].value == pytest.approx(total / size / math.log(2))


def test_passages_do_not_overlap_and_short_streams_give_short_ones():
    passages = prompts_and_continuations(np.arange(1000), 500, 32, 200)
    assert len(passages.prompts) == 4
    assert all(p[-1] + 1 == r[0] for p, r in zip(passages.prompts, passages.real, strict=True))
    assert all(r[-1] < p[0] for r, p in zip(passages.real, passages.prompts[1:], strict=False))
    short = prompts_and_continuations(np.arange(58), 500, 32, 200)
    assert (len(short.prompts), short.prompt_length, short.length) == (1, 8, 50)
