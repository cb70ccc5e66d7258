"""Conversations in every usual shape, and in broken ones."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.ledger import Drop
from genwright.tasks.chat.formats import ROLES, Dialogue, Mapping, dialogues, read_values

HELLO = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
SYSTEM = [{"role": "system", "content": "Be kind"}]
CHITCHAT = Mapping(turns="messages", role="sender", text="text")

SHAPES = {
    "messages": ({"messages": HELLO}, HELLO),
    "parts": ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}, HELLO[1]]}, HELLO),
    "sharegpt": ({"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]}, HELLO),
    "sharegpt with system": (
        {"system": "Be kind", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]},
        SYSTEM + HELLO,
    ),
    "alpaca": ({"instruction": "Hello", "input": "", "output": "Hi"}, HELLO),
    "alpaca with input": (
        {"instruction": "Translate", "input": "Hola", "output": "Hello"},
        [{"role": "user", "content": "Translate\n\nHola"}, {"role": "assistant", "content": "Hello"}],
    ),
    "alpaca with history": (
        {"instruction": "Hello", "output": "Hi", "history": [["a", "b"]]},
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, *HELLO],
    ),
    "pair": ({"prompt": "Hello", "response": "Hi"}, HELLO),
    "completion": ({"prompt": "Hello", "completion": "Hi"}, HELLO),
    "pair of messages": ({"prompt": HELLO[:1], "completion": HELLO[1:]}, HELLO),
    "question": ({"question": "Hello", "answer": "Hi"}, HELLO),
    "list": (HELLO, HELLO),
    "list of texts": (["Hello", "Hi"], HELLO),
    "row around a list": ({"value": HELLO}, HELLO),
    "csv cell": ({"messages": json.dumps(HELLO)}, HELLO),
    "system kept": ({"messages": SYSTEM + HELLO}, SYSTEM + HELLO),
    "what nobody answered is left": ({"messages": [*HELLO, {"role": "user", "content": "And?"}]}, HELLO),
    "one speaker twice": (
        {"messages": [HELLO[0], {"role": "user", "content": "you"}, HELLO[1]]},
        [{"role": "user", "content": "Hello\nyou"}, HELLO[1]],
    ),
    "an empty message is nothing": ({"messages": [HELLO[0], {"role": "assistant", "content": None}, HELLO[1]]}, HELLO),
}


@pytest.mark.parametrize("value, expected", SHAPES.values(), ids=SHAPES)
def test_every_usual_shape_is_read(value, expected) -> None:
    assert dialogues(value) == [Dialogue(expected)]


@pytest.mark.parametrize(
    "value, reason, word",
    [
        ({"messages": [{"role": "wizard", "content": "x"}, HELLO[1]]}, "malformed", "wizard"),
        ({"messages": [{"content": "x"}, HELLO[1]]}, "malformed", "without a role"),
        ({"messages": "no JSON ["}, "malformed", "no conversation"),
        ({"messages": "[no JSON"}, "malformed", "no JSON"),
        ({"title": "x"}, "malformed", "title"),
        ({"messages": HELLO[:1]}, "too_small", "no reply"),
        ({"messages": []}, "too_small", "no reply"),
        ({"instruction": "Hello", "output": ""}, "too_small", "no reply"),
        (7, "malformed", "int"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, HELLO[1]]}, "wrong_medium", "not text"),
        ({"messages": [HELLO[0], {"role": "assistant", "content": "\ud800"}]}, "malformed", "surrogate"),
    ],
)
def test_what_can_not_be_read_says_why(value, reason, word) -> None:
    found = dialogues(value)
    assert isinstance(found, Drop) and found.reason == reason and word in found.detail


def test_a_mapping_reads_turns_of_several_messages_and_takes_the_first_speaker_for_the_user() -> None:
    row = {
        "prompt": "Pets",
        "messages": [
            [{"text": "Hello", "sender": "x"}, {"text": "you", "sender": "x"}],
            [{"text": "Hi", "sender": "y"}],
        ],
    }
    said = [{"role": "user", "content": "Hello\nyou"}, {"role": "assistant", "content": "Hi"}]
    assert dialogues(row, CHITCHAT) == [Dialogue(said)]
    with_system = Mapping(turns="messages", role="sender", text="text", system="prompt")
    assert dialogues(row, with_system) == [Dialogue([{"role": "system", "content": "Pets"}, *said])]


def test_both_sides_of_a_conversation_of_equals() -> None:
    row = {"messages": [{"sender": s, "text": s} for s in ("x", "y", "x", "y")]}
    first, second = dialogues(row, Mapping(turns="messages", role="sender", text="text", both=True))
    assert [m["role"] for m in first.messages] == ["user", "assistant", "user", "assistant"]
    # The exchanged one ends with the other's last word: nothing answers it.
    assert [m["role"] for m in second.messages] == ["assistant", "user", "assistant"]


def test_a_mapping_says_who_the_assistant_is_and_reaches_inside() -> None:
    row = {"log": {"turns": [{"who": {"name": n}, "said": n} for n in ("Ann", "Bob", "Cy", "Ann", "Bob")]}}
    mapping = Mapping(turns="log.turns", role="who.name", text="said", assistant=("Bob",))
    (found,) = dialogues(row, mapping)
    assert [(m["role"], m["content"]) for m in found.messages] == [
        ("user", "Ann"),
        ("assistant", "Bob"),
        ("user", "Cy\nAnn"),
        ("assistant", "Bob"),
    ]
    lost = dialogues(row, Mapping(turns="log.turns", role="who.name", text="said"))
    assert isinstance(lost, Drop) and "3 people" in lost.detail
    neither = dialogues(
        row, Mapping(turns="log.turns", role="who.name", text="said", user=("Ann",), assistant=("Bob",))
    )
    assert isinstance(neither, Drop) and "'Cy'" in neither.detail
    missing = dialogues(row, Mapping(turns="messages", role="who.name", text="said"))
    assert isinstance(missing, Drop) and missing.reason == "missing_text"


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": "Hello", "chosen": "Hi", "rejected": "Go away"},
        {"messages": HELLO[:1], "chosen": "Hi", "rejected": "Go away"},
        {"chosen": HELLO, "rejected": [HELLO[0], {"role": "assistant", "content": "Go away"}]},
        {"prompt": "Hello", "chosen": HELLO, "rejected": [HELLO[0], {"role": "assistant", "content": "Go away"}]},
        {"prompt": HELLO[:1], "chosen": HELLO[1:], "rejected": [{"role": "assistant", "content": "Go away"}]},
    ],
)
def test_preferences_in_every_usual_shape(value) -> None:
    (found,) = dialogues(value, preference=True)
    assert found == Dialogue(HELLO[:1], HELLO[1:], [{"role": "assistant", "content": "Go away"}])


def test_a_preference_needs_two_answers_that_differ() -> None:
    for value in (
        {"prompt": "x", "chosen": "a"},
        {"prompt": "x", "chosen": "a", "rejected": "a"},
        {"chosen": "a", "rejected": "b"},
    ):
        assert isinstance(dialogues(value, preference=True), Drop)


def test_files_hold_one_conversation_or_many() -> None:
    assert read_values(json.dumps(HELLO), ".json") == [HELLO]
    assert read_values(json.dumps([HELLO, HELLO]), ".json") == [HELLO, HELLO]
    assert read_values(json.dumps({"messages": HELLO}), ".json") == [{"messages": HELLO}]
    lines = json.dumps({"messages": HELLO}) + "\n\n{broken\n" + json.dumps(HELLO)
    first, broken, last = read_values(lines, ".jsonl")
    assert (first, last) == ({"messages": HELLO}, HELLO) and isinstance(broken, Drop) and "line 3" in broken.detail
    with pytest.raises(ValueError, match="not JSON"):
        read_values("{", ".json")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "conversations", "role", "content", "from", "value", "prompt", "response", "x"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(JSON, st.booleans(), st.booleans())
def test_nothing_that_is_json_ends_the_run(value, mapped, preference) -> None:
    found = dialogues(value, CHITCHAT if mapped else None, preference)
    if isinstance(found, Drop):
        assert found.detail
        return
    for dialogue in found:
        for message in [*dialogue.messages, *dialogue.chosen, *dialogue.rejected]:
            assert set(message) == {"role", "content"} and message["content"].strip()
            assert message["role"] in {"system", "user", "assistant", "tool"}


SAID = st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(SAID, min_size=2, max_size=8).filter(lambda said: len(said) % 2 == 0),
    st.sampled_from([n for n in ROLES if ROLES[n] == "user"]),
)
def test_all_shapes_of_one_conversation_are_read_alike(said, name) -> None:
    roles = ["user", "assistant"] * (len(said) // 2)
    plain = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    shared = [
        {"from": "human" if role == "user" else "gpt", "value": text} for role, text in zip(roles, said, strict=True)
    ]
    expected = [Dialogue(plain)]
    assert dialogues({"messages": plain}) == dialogues({"conversations": shared}) == dialogues(said) == expected
    assert dialogues({"messages": json.dumps(plain)}) == expected
    other = [{"sender": role, "text": text} for role, text in zip(roles, said, strict=True)]
    assert dialogues({"messages": other}, CHITCHAT) == expected
    as_named = [{**plain[0], "role": name}, *plain[1:]]
    assert dialogues({"messages": as_named}) == expected


def test_a_json_file_may_hold_lines_and_a_jsonl_file_one_list() -> None:
    rows = [{"messages": HELLO}, {"messages": SYSTEM + HELLO}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    assert read_values(lines, ".json") == rows
    assert read_values(json.dumps(rows), ".jsonl") == rows
    assert read_values(json.dumps(rows, indent=1), ".jsonl") == rows
    assert read_values(json.dumps(HELLO), ".jsonl") == [HELLO]
    assert read_values(json.dumps(HELLO, indent=1), ".json") == [HELLO]
    with pytest.raises(ValueError, match="not JSON"):
        read_values(json.dumps(rows)[:-5], ".json")


def test_what_is_no_number_is_nothing() -> None:
    (row,) = read_values('{"instruction": "Translate", "input": NaN, "output": "Mot"}', ".jsonl")
    found = [Dialogue([{"role": "user", "content": "Translate"}, {"role": "assistant", "content": "Mot"}])]
    assert dialogues(row) == found
    assert dialogues({**row, "input": float("nan"), "history": float("nan")}) == found


CALL = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]


def asked(**reply: object) -> dict[str, object]:
    return {"messages": [HELLO[0], {**HELLO[1], **reply}]}


@pytest.mark.parametrize(
    "value, word",
    [
        (asked(content=None, tool_calls=CALL), "tool_calls"),
        (asked(tool_calls=CALL), "tool_calls"),
        (asked(function_call={"name": "weather", "arguments": "{}"}), "function_call"),
        (asked(content=None, refusal="I can't."), "refusal"),
        (asked(reasoning_content="The user greets."), "reasoning_content"),
        (asked(weight=0), "`weight`: 0"),
        (asked(weight=0.5), "`weight`: 0.5"),
        (asked(train=False), "`train`: false"),
        (asked(loss=False), "`loss`: false"),
        (asked(mask=True), "`mask`: true"),
        (asked(train_detail=[{"begin_offset": 0, "end_offset": 1, "train": False}]), "train_detail"),
        ({"messages": [{**HELLO[0], "train": True}, HELLO[1]]}, "turn of the user"),
        ({"messages": HELLO, "tools": CALL}, "tools"),
        (
            {
                "conversations": [{"from": "human", "value": "<image> What?"}, {"from": "gpt", "value": "x"}],
                "images": ["a"],
            },
            "images",
        ),
        (
            {"conversations": [{"from": "human", "value": "Go"}, {"from": "function_call", "value": "{}"}]},
            "call of a tool",
        ),
        ({"prompt": "Hello", "completion": "Go away", "label": False}, "`label`"),
    ],
)
def test_what_counts_otherwise_costs_the_row_and_says_why(value, word) -> None:
    found = dialogues(value)
    assert isinstance(found, Drop) and found.reason == "unsupported" and word in found.detail


@pytest.mark.parametrize(
    "value",
    [
        asked(weight=1),
        asked(train=True, tool_calls=None, function_call=None, refusal=None, name="Genie"),
        asked(mask=False, tool_calls=[]),
        {
            "messages": [{**HELLO[0], "weight": 0, "name": "Ann"}, HELLO[1]],
            "tools": [],
            "images": [],
            "weight": 70,
            "loss": 0.3,
        },
        {"prompt": "Hello", "completion": "Hi", "label": True},
    ],
)
def test_what_counts_as_usual_is_learned(value) -> None:
    assert dialogues(value) == [Dialogue(HELLO)]


def test_parts_that_are_no_text_and_several_people_of_one_role() -> None:
    picture = {"type": "image", "text": "a cat"}
    found = dialogues({"messages": [{"role": "user", "content": [picture]}, HELLO[1]]})
    assert isinstance(found, Drop) and found.reason == "wrong_medium"
    people = [{"role": "user", "name": name, "content": name} for name in ("Ann", "Bob")]
    found = dialogues({"messages": [*people, HELLO[1]]})
    assert isinstance(found, Drop) and "several people speak as user" in found.detail
    weighted = {"turns": [{"who": "x", "said": "a"}, {"who": "y", "said": "b", "weight": 0}]}
    found = dialogues(weighted, Mapping(turns="turns", role="who", text="said"))
    assert isinstance(found, Drop) and found.reason == "unsupported"


CHAT = "12/30/23, 9:15 PM - Ann: Hello\n12/30/23, 9:16 PM - Bob: Hi\n"


def test_a_messengers_export_is_read_as_conversations() -> None:
    (value,) = read_values(CHAT, ".txt")
    assert dialogues(value) == [Dialogue(HELLO)]
    (value,) = read_values(CHAT + "12/30/23, 9:17 PM - Ann: Bye\n", ".txt")
    (other,) = dialogues(value, Mapping(turns="messages", role="name", text="content", assistant=("Ann",)))
    assert [m["content"] for m in other.messages if m["role"] == "assistant"] == ["Hello", "Bye"]
    group = read_values(CHAT + "12/30/23, 9:17 PM - Cy: Hi\n", ".txt")
    found = dialogues(group[0])
    assert isinstance(found, Drop) and "who is who" in found.detail
    (told,) = dialogues(group[0], Mapping(turns="messages", role="name", text="content", assistant=("Cy",)))
    assert [m["role"] for m in told.messages] == ["user", "assistant"]


def test_a_table_of_text_among_files_is_rows() -> None:
    good, bad = read_values('question,answer\nHello,Hi\n"Hello, you",Hi,there\n', ".csv")
    assert dialogues(good) == [Dialogue(HELLO)]
    assert isinstance(bad, Drop) and "line 3: 3 cells" in bad.detail
    with pytest.raises(ValueError, match="stands twice"):
        read_values("a,a\n1,2\n", ".csv")
