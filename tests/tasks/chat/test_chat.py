"""The task chat: examples cut by whole turns, the mask, rows and files, requests, and a small model end to end."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from genwright import ledger, recipe
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.transformer.options import Controls
from genwright.ledger import WHOLE_ROW, Drop, Item
from genwright.model_folder import build_task
from genwright.request import controls_of, request_class
from genwright.tasks.chat import preference as preferences
from genwright.tasks.chat.before import before_of
from genwright.tasks.chat.formats import dialogues
from genwright.tasks.chat.preference import collate, preferred
from genwright.tasks.chat.task import Chat, _mapping, asked_messages, recommended
from genwright.tasks.chat.turns import exchanges, fit, replies, windows
from genwright.tokens.chat_template import START, STOP, ChatTemplate
from helpers import ASSETS

CHATS = ASSETS / "chats"
CHITCHAT = "prepare: {tokenizer: bpe, vocabulary: 400, conversation: {turns: messages, role: sender, text: text}}"
HELLO = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]


def make_task(rest: str = CHITCHAT, model: str = "{layers: 1, width: 32, context: 96}", **changes: str) -> Chat:
    source = changes.get("source", f"table: {CHATS / 'chitchat.jsonl'}")
    made = build_task(recipe.parse(f"task: chat\ndata: {{sources: [{{{source}}}]}}\nmodel: {model}\n{rest}\n"))
    assert isinstance(made, Chat)
    return made


def row_item(value, number: int = 0) -> Item:
    return Item(id=str(number), source="t", path="t.jsonl", row=number, fields={WHOLE_ROW: json.dumps(value)})


@pytest.fixture(scope="module")
def items() -> list[Item]:
    lines = (CHATS / "chitchat.jsonl").read_text(encoding="utf-8").splitlines()
    return [row_item(json.loads(line), number) for number, line in enumerate(lines)]


@pytest.fixture(scope="module")
def facts(items):
    return make_task().fit(items[:40])


def counted_by_hand(tokens: np.ndarray, facts) -> list[int]:
    """Which tokens of ChatML are an assistant's, found by reading them one after another."""
    counts, role, named = [], "", False
    for token in tokens.tolist():
        if token == facts.special[START]:
            counts.append(0)
            role, named = "", True
        elif named:
            counts.append(0)
            role += facts.decode([token])
            named = not role.endswith("\n")
        else:
            counts.append(int(role == "assistant\n"))
            if token == facts.special[STOP]:
                role = ""
    return counts


def test_every_reply_of_real_conversations_counts_once_and_nothing_else(items, facts) -> None:
    task = make_task(model="{layers: 1, width: 32, context: 256}")
    whole = 0
    for item in items[:60]:
        (dialogue,) = dialogues(json.loads(item.fields[WHOLE_ROW]), _mapping(task.prepare.conversation))
        examples = [example for example in task.encode(item, facts) if not isinstance(example, Drop)]
        for example in examples:
            assert len(example["tokens"]) <= 256 and example["tokens"][0] == facts.special[START]
            assert example["weight"].tolist() == counted_by_hand(example["tokens"], facts)
        said = [facts.decode(e["tokens"][a:b]) for e in examples for a, b in replies(e["tokens"], e["weight"])]
        expected = [message["content"] for message in dialogue.messages if message["role"] == "assistant"]
        if all(len(example["tokens"]) < 256 for example in examples):
            whole += 1
            assert said == expected
    assert whole > 20


def test_a_long_conversation_is_cut_by_whole_exchanges_behind_the_system_prompt(facts) -> None:
    template = ChatTemplate.of(facts)
    messages = [{"role": "system", "content": "Be kind"}]
    for number in range(12):
        messages += [
            {"role": "user", "content": f"question {number}"},
            {"role": "assistant", "content": f"answer {number}"},
        ]
    found = list(windows(messages, template, facts, 96))
    assert len(found) > 2
    said: list[str] = []
    for tokens, weight, length in found:
        assert len(tokens) == length <= 96 and int(tokens[-2]) == facts.special[STOP]
        assert facts.decode(tokens).startswith("system\nBe kind\nuser\nquestion")
        said += [facts.decode(tokens[a:b]) for a, b in replies(tokens, weight)]
    assert said == [f"answer {number}" for number in range(12)]


def test_of_an_exchange_that_is_too_long_the_beginning_is_learned(facts) -> None:
    template = ChatTemplate.of(facts)
    long = [{"role": "user", "content": "Tell me"}, {"role": "assistant", "content": "word " * 200}]
    ((tokens, weight, length),) = windows(long, template, facts, 64)
    assert len(tokens) == 64 < length and weight[-1] == 1 and facts.special[STOP] not in tokens[weight == 1]
    endless = [{"role": "user", "content": "word " * 200}, {"role": "assistant", "content": "Yes"}]
    (nothing,) = windows(endless, template, facts, 64)
    assert nothing.is_cut and not nothing.weight.any()
    task = make_task(model="{layers: 1, width: 32, context: 64}", rest="prepare: {tokenizer: bpe}")
    (dropped,) = task.encode(row_item({"messages": endless}), facts)
    assert isinstance(dropped, Drop) and dropped.reason == "too_large"
    kept, cut = task.encode(row_item({"messages": long}), facts)
    assert isinstance(kept, dict) and isinstance(cut, Drop) and cut.reason == "too_large"
    assert re.search(r"an exchange of \d+ tokens, of which the first 64 are read; raise `model.context`", cut.detail)


def test_what_leaves_no_room_for_an_answer_is_dropped_oldest_first_by_whole_exchanges(facts) -> None:
    template = ChatTemplate.of(facts)
    messages = [{"role": "system", "content": "Be kind"}]
    for number in range(12):
        messages += [
            {"role": "user", "content": f"question {number}"},
            {"role": "assistant", "content": f"answer {number}"},
        ]
    messages.append({"role": "user", "content": "And now?"})
    tokens, kept, dropped = fit(messages, template, facts, 96)
    assert len(tokens) <= 96 and dropped > 0 and dropped + len(kept) == len(messages)
    assert kept[0] == messages[0] and kept[1:] == messages[1 + dropped :] and kept[1]["role"] == "user"
    assert tokens.tolist() == template.encode(kept, facts).tolist()
    # The last question stays, whatever room there is.
    assert fit(messages, template, facts, 1)[1] == [messages[0], messages[-1]]


def test_exchanges_begin_with_the_user() -> None:
    roles = ["system", "assistant", "user", "user", "assistant", "tool", "assistant", "user"]
    head, spans = exchanges([{"role": role, "content": "x"} for role in roles])
    assert head == 1 and spans == [(1, 2), (2, 7), (7, 8)]


def test_the_same_question_stays_on_one_side_of_the_split() -> None:
    task = make_task("prepare: {}")
    one, other = {"prompt": "Why?", "response": "So"}, {"prompt": " why? ", "response": "Because"}
    assert task.group_key(row_item(one)) == task.group_key(row_item(other))
    assert task.group_key(row_item(one)) != task.group_key(row_item({"prompt": "Who?", "response": "So"}))


def test_rows_that_are_no_conversation_cost_a_row_each(facts) -> None:
    task = make_task("prepare: {}")
    for value, reason in (({"a": 1}, "malformed"), ({"messages": HELLO[:1]}, "too_small"), ([1], "malformed")):
        (drop,) = task.encode(row_item(value), facts)
        assert isinstance(drop, Drop) and drop.reason == reason


def test_a_file_of_many_conversations_is_one_item_and_may_be_divided_between_lines(tmp_path, facts) -> None:
    task = make_task("prepare: {}")
    file = tmp_path / "mine.jsonl"
    lines = [
        json.dumps({"messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": f"a{i}"}]})
        for i in range(300)
    ]
    file.write_text("\n".join([*lines[:150], "{broken", *lines[150:]]) + "\n", encoding="utf-8")
    item = Item(id="f", source="folder", path="mine.jsonl", file=str(file))
    assert len([e for e in task.encode(item, facts) if not isinstance(e, Drop)]) == 300
    spans = task.divide(item)
    text = file.read_text(encoding="utf-8")
    assert "".join(text[a:b] for a, b in spans) == text and all(text[b - 1] == "\n" for _, b in spans)
    assert 50 <= len(spans) <= 400


def test_a_template_of_ones_own_is_used_kept_and_checked(tmp_path, items) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token if m.role == 'assistant' }}{{ '\n' }}{% endfor %}"
        "{{ '[assistant] ' if add_generation_prompt }}"
    )
    task = make_task(f"prepare: {{tokenizer: bpe, template: {file}}}")
    facts = task.fit([row_item({"messages": HELLO})])
    assert facts.chat_template == file.read_text()
    (example,) = task.encode(row_item({"messages": HELLO}), facts)
    assert facts.decode(example["tokens"]) == "[user] Hello\n[assistant] Hi\n"
    assert facts.decode(example["tokens"][example["weight"] == 1]) == "Hi"
    before = task.encoding_settings()
    file.write_text("{% for m in messages %}")
    assert task.encoding_settings() != before, "another template prepares anew"
    for act in (task.check, lambda: task.fit([row_item({"messages": HELLO})])):
        with pytest.raises(RequestError, match=r"mine\.jinja.*not a valid Jinja template"):
            act()
    file.unlink()
    with pytest.raises(RequestError, match=r"mine\.jinja: the chat template can't be read"):
        task.check()


def test_write_does_not_take_rows_whole() -> None:
    with pytest.raises(RequestError, match="say what a row of"):
        recipe.parse("task: write\ndata: {sources: [{table: x.jsonl}]}")


def test_preferences_need_weights_to_start_from() -> None:
    with pytest.raises(RequestError, match=r"model\.from"):
        make_task("prepare: {preference: true}").check()


REQUEST = request_class("chat", "transformer")


def test_a_request_is_a_message_a_system_prompt_or_a_whole_conversation() -> None:
    plain = asked_messages(REQUEST(prompt="Hello", system="Be kind"))
    assert plain == [{"role": "system", "content": "Be kind"}, HELLO[0]]
    whole = asked_messages(REQUEST(prompt="And?", messages=json.dumps(HELLO)))
    assert whole == [*HELLO, {"role": "user", "content": "And?"}]
    for nothing in ({}, {"messages": HELLO}, {"system": "Be kind"}):
        with pytest.raises(RequestError, match="nothing to answer"):
            asked_messages(REQUEST(**nothing))
    for broken in ("{", '{"a": 1}', '[{"role": "wizard", "content": "x"}]', "@talk.json"):
        with pytest.raises(ValueError, match="messages"):
            REQUEST(messages=broken)


def run_small(tmp_path_factory, rest: str = "", steps: int = 30) -> Path:
    from genwright.stages.pipeline import Options, run_stages
    from genwright.stages.start import run_folder

    folder = tmp_path_factory.mktemp("chat")
    file = folder / "small.yaml"
    file.write_text(
        f"task: chat\ndata: {{sources: [{{table: {CHATS / 'chitchat.jsonl'}}}]}}\n{CHITCHAT}\n"
        f"model: {{layers: 1, width: 32, context: 96}}\ntrain: {{budget: {steps} steps, batch: 4, previews: 1, validate_times: 2, "
        f"compile: 'off', precision: fp32}}\nevaluate: {{samples: 6}}\n{rest}"
    )
    run_stages(recipe.load(file), run_folder(file, folder / "run"), Options(device="cpu", anyway=True))
    return folder / "run"


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return run_small(tmp_path_factory)


def test_from_a_table_to_answers(small: Path) -> None:
    from genwright.api import Generator

    items = ledger.read(small / "collect" / "ledger.parquet")
    assert len(items) == 160 and {item.split for item in items if item.kept} >= {"train", "validation", "test"}
    sheet = json.loads((small / "evaluate" / "scores.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row["scores"] for row in sheet["rows"]}
    assert list(rows) == ["shuffled", "retrieval", "counting", "model", "real"]
    assert "bits_per_byte" in rows["model"] and "bits_per_byte" not in rows["retrieval"]
    assert "bits_per_byte" in rows["counting"] and rows["model"]["listening"]["n"] > 0
    assert sheet["verdict"]["grade"] in ("weak", "useless")
    # Five bits a byte is about what no knowledge at all costs with these tokens.
    assert 0 < rows["model"]["bits_per_byte"]["value"] < 5
    assert {"distinct_1", "repetition", "words"} <= set(rows["real"])
    assert "variety" in rows["model"] and "variety" in rows["shuffled"] and "variety" not in rows["retrieval"]
    assert "2 prompts, 2 samples of each" in sheet["protocol"]["variety"]
    assert (
        (small / "evaluate" / "transcripts.txt").read_text(encoding="utf-8").count("\n>>> ")
        == sheet["protocol"]["samples"]
        > 2
    )
    generator = Generator(small, "cpu")
    first = "".join(p.data for p in generator.generate("Hello", max_tokens=12, seed=3))
    again = "".join(p.data for p in generator.generate("", messages=HELLO[:1], max_tokens=12, seed=3))
    assert first == again
    assert len(list(generator.generate("Hello", n=3, max_tokens=4))) >= 3


def test_the_folder_is_one_that_transformers_chats_with(small: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from genwright.api import Generator

    theirs = transformers.AutoTokenizer.from_pretrained(small / "model")
    generator = Generator(small, "cpu")
    task, facts = generator.model.task, generator.model.facts
    messages = [{"role": "system", "content": "Be kind"}, *HELLO, {"role": "user", "content": "And <b>you</b>? 🙂"}]
    expected = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert task.opening(generator.model, messages, 8)[0] == expected
    assert theirs.eos_token_id == facts.special[STOP]
    network = transformers.AutoModelForCausalLM.from_pretrained(small / "model", dtype=torch.float32).eval()
    made = network.generate(
        torch.tensor([expected]),
        attention_mask=torch.ones(1, len(expected), dtype=torch.long),
        max_new_tokens=12,
        do_sample=False,
    )[0, len(expected) :].tolist()
    made = made[: next((i for i, t in enumerate(made) if t in facts.end_tokens), len(made))]
    ours = "".join(p.data for p in generator.generate("", messages=messages, temperature=0, max_tokens=12))
    assert ours == facts.decode(made)


def test_the_end_of_a_turn_ends_an_answer(small: Path) -> None:
    """With every other token forbidden, the first token is the end of the turn and nothing is said."""
    from genwright.api import Generator

    model = Generator(small, "cpu").model
    session = model.session()
    controls = model.family.Controls.model_validate({"max_tokens": 5})
    only = torch.zeros(model.config.network["vocab_size"], dtype=torch.bool)
    only[model.facts.special[STOP]] = True
    tokens = list(
        Engine().submit(session, lambda s: s.start([1, 5, 7], torch.Generator(), controls, lambda generated: only))
    )
    assert tokens == []


def test_held_out_bits_are_those_of_the_replies(small: Path) -> None:
    """Counted a second time, token by token, from the logits of whole conversations."""
    from genwright.api import Generator
    from genwright.run import Run
    from genwright.stages.prepare.stage import load_splits
    from genwright.tasks.chat.bits import bits_per_byte

    model = Generator(small, "cpu").model
    _, store = load_splits(Run(small), model.task).held_out()
    nats, size = 0.0, 0
    for index in range(len(store)):
        tokens, weight = store[index]["tokens"].astype(np.int64), store[index]["weight"]
        with torch.inference_mode():
            logits = model.family.modules["model"](torch.from_numpy(tokens[None, :-1]))[0].double().log_softmax(-1)
        for place in np.flatnonzero(weight[1:]):
            nats -= float(logits[place, tokens[place + 1]])
            size += len(model.facts.token_bytes[tokens[place + 1]])
    found = bits_per_byte(model, model.family, store, range(len(store)), 0)
    assert found.value == pytest.approx(nats / size / np.log(2), rel=1e-4) and found.n == len(store)


@pytest.mark.parametrize("lora", ["", "lora: {rank: 4}"])
def test_preferences_are_learned_from_weights_of_a_run(
    small: Path, tmp_path: Path, items, lora: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genwright.run import Run
    from genwright.stages.pipeline import Options, run_stages
    from genwright.stages.prepare.stage import load_splits
    from genwright.stages.train.stage import load_trained

    rows = []
    for number in range(60):
        question = [{"role": "user", "content": f"question {number}"}]
        rows.append(json.dumps({"prompt": question, "chosen": "yes, of course", "rejected": "no, never"}))
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows))
    file = tmp_path / "prefer.yaml"
    file.write_text(
        "task: chat\ndata: {sources: [{table: pairs.jsonl}]}\nprepare: {preference: true, beta: 0.1}\n"
        f"model: {{from: {small / 'model'}, context: 64, {lora}}}\n"
        "train: {budget: 60 steps, batch: 8, learning_rate: 0.003, previews: 0, validate_times: 1, compile: 'off', precision: fp32}\n"
    )
    run = Run(tmp_path / "run")
    run_stages(recipe.load(file), run, Options(device="cpu", anyway=True), ["collect", "prepare", "train"])
    model = load_trained(run, torch.device("cpu"))
    splits = load_splits(run, model.task)
    before = before_of(model)
    assert before is not None and set(splits["train"][0]) == {"tokens", "weight", "rejected", "rejected_weight"}
    example = splits["train"][0]
    assert model.facts.decode(example["tokens"][example["weight"] == 1]) == "yes, of course"
    assert model.facts.decode(example["rejected"][example["rejected_weight"] == 1]) == "no, never"
    batch = collate([splits["test"][0]], model.facts.end_token)
    margins = []
    for family in (before.family, model.family):
        with torch.inference_mode():
            chosen, rejected = (family.nats(batch["tokens"]) * batch["mask"]).sum(dim=1).tolist()
        margins.append(rejected - chosen)
    assert margins[1] > margins[0] + 0.5, "what is preferred became likelier beside what is not"
    assert preferred(model, model.family, splits["test"], 0).value == 1.0
    monkeypatch.setattr(preferences, "_PAIRS_AT_ONCE", {"cpu": 3})
    assert preferred(model, model.family, splits["test"], 0).value == 1.0
    log = [json.loads(line) for line in (run.folder / "train/model/metrics.jsonl").read_text().splitlines()]
    assert any("preferred" in json.dumps(line) for line in log)


def test_a_template_is_looked_for_in_the_recipes_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{{ messages[0].content }}")
    file = tmp_path / "r.yaml"
    file.write_text("task: chat\ndata: {sources: [{table: t.jsonl}]}\nprepare: {template: mine.jinja}\n")
    assert recipe.load(file).prepare.template == str(tmp_path / "mine.jinja")


def write_table(file: Path, talks: list[list[dict[str, str]]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([{"messages": talk, "at": 1.5} for talk in talks]), file)
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks), encoding="utf-8")
    elif file.suffix == ".json":
        file.write_text(json.dumps(talks), encoding="utf-8")
    else:
        lines = [f'"{talk[0]["content"]}","{talk[1]["content"]}"' for talk in talks]
        file.write_text("\n".join(["prompt,response", *lines]) + "\n", encoding="utf-8")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_rows_of_every_kind_of_table_keep_their_nested_shape(tmp_path: Path, facts, suffix: str) -> None:
    from genwright.stages.collect.read import Reader
    from genwright.stages.collect.stage import open_sources

    talks = [
        [{"role": "user", "content": f"Who, {i}?"}, {"role": "assistant", "content": f"Me, {i} 你好"}]
        for i in range(30)
    ]
    write_table(tmp_path / f"talks{suffix}", talks)
    made = recipe.parse(
        f"task: chat\ndata: {{sources: [{{table: talks{suffix}}}]}}\nmodel: {{context: 96}}", folder=tmp_path
    )
    task = build_task(made)
    items = [item for source in open_sources(made.data) for item in source.offer()]
    with Reader(tmp_path / "seen.jsonl", task, 1 << 20) as reader:
        reader.read(items)
    ledger.write(items, tmp_path / "ledger.parquet")
    kept = ledger.read(tmp_path / "ledger.parquet")
    assert len(kept) == 30 and all(item.kept for item in kept) and len({task.group_key(item) for item in kept}) == 30
    for item, talk in zip(kept, talks, strict=True):
        (example,) = task.encode(item, facts)
        assert facts.decode(example["tokens"][example["weight"] == 1]) == talk[1]["content"]


def test_an_answer_ends_with_the_context_and_a_message_must_fit_in_it(small: Path, monkeypatch) -> None:
    from genwright.api import Generator

    generator = Generator(small, "cpu")
    task, model = generator.model.task, generator.model
    long = [message for _ in range(30) for message in HELLO] + HELLO[:1]
    tokens, dropped = task.opening(model, long, 500)
    assert len(tokens) <= 48 and dropped > 0 and dropped % 2 == 0
    session, asked = model.session(), {}
    start = session.start

    def noted(prompt, rng, controls, constraint=None):
        asked.update(prompt=len(prompt), most=controls.max_tokens)
        return start(prompt, rng, controls, constraint)

    monkeypatch.setattr(session, "start", noted)
    list(generator.generate("Hello", max_tokens=5000))
    assert asked["prompt"] + asked["most"] == 96, "it ends before it would lose its beginning"
    with pytest.raises(RequestError, match="shorten it"):
        list(generator.generate("word " * 300))


def test_replies_are_learned_one_by_one_where_the_template_asks_for_it(items, tmp_path) -> None:
    file = tmp_path / "forgetful.jinja"
    file.write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}{{ '\\n' }}{{ '<think></think>' if loop.last and m.role == 'assistant' }}"
        "{{ m.content }}<|im_end|>{{ '\\n' }}{% endfor %}{{ '<|im_start|>assistant\\n' if add_generation_prompt }}"
    )
    task = make_task(f"prepare: {{tokenizer: bpe, vocabulary: 400, template: {file}}}")
    messages = []
    for number in range(6):
        messages += [
            {"role": "user", "content": f"question {number}"},
            {"role": "assistant", "content": f"answer {number}"},
        ]
    facts = task.fit([row_item({"messages": messages}), *items[:20]])
    examples = list(task.encode(row_item({"messages": messages}), facts))
    said = [facts.decode(e["tokens"][e["weight"] == 1]) for e in examples]
    assert said == [f"<think></think>answer {number}" for number in range(6)]
    assert all(len(e["tokens"]) <= 96 and facts.decode(e["tokens"]).startswith("user\nquestion") for e in examples)
    assert facts.decode(examples[1]["tokens"]).startswith("user\nquestion 0\nassistant\nanswer 0\n")


def test_questions_too_long_to_be_answered_are_told_as_that(tmp_path: Path) -> None:
    from genwright.stages.pipeline import Options, run_stages
    from genwright.stages.start import run_folder

    words = "bell night road river winter glass song field lamp stone mill bread horse cloud"
    rows = [{"prompt": f"Context {n}: {words} {n} {words} {n + 7}", "response": "bell"} for n in range(60)]
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "r.yaml").write_text(
        "task: chat\ndata: {sources: [{table: long.jsonl}]}\nprepare: {tokenizer: characters}\n"
        "model: {layers: 1, width: 32, context: 256}\ntrain: {budget: 3 steps, batch: 4, previews: 0, validate_times: 1, "
        "compile: 'off', precision: fp32}\nevaluate: {samples: 6}\n"
    )
    run_stages(
        recipe.load(tmp_path / "r.yaml"),
        run_folder(tmp_path / "r.yaml", tmp_path / "run"),
        Options(device="cpu", anyway=True),
    )
    sheet = json.loads((tmp_path / "run" / "evaluate" / "scores.json").read_text(encoding="utf-8"))
    assert "too long to leave room for an answer" in sheet["headline"]
    assert sheet["rows"][0]["scores"]["bits_per_byte"]["value"] > 0


def test_an_answer_is_drawn_as_a_conversation_wants_it_or_as_the_weights_say() -> None:
    request = request_class("chat", "transformer")()
    drawn = controls_of(request, Controls)
    assert (drawn.temperature, drawn.top_p) == (0.7, 0.9) and Controls().top_p == 1
    said = {"temperature": 0.6, "top_k": 20, "eos_token_id": 2, "do_sample": True}
    assert recommended(said, Controls) == {"temperature": 0.6, "top_k": 20}
    for nothing in ({"eos_token_id": 2}, {**said, "do_sample": False}, {"temperature": 99}, {"top_p": None}):
        assert recommended(nothing, Controls) == {}
