"""Cut points, holes, imports and the order of files: the parts of the task complete that need no model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.duplicates.words import clusters
from genwright.ledger import Item
from genwright.request import File
from genwright.shards import ExampleStore, write_part
from genwright.tasks.complete import options as complete_options
from genwright.tasks.complete.fim import (
    ALLOWANCE,
    FILE,
    MIDDLE,
    PREFIX,
    SPECIAL,
    SUFFIX,
    can_fill,
    choose_hole,
    header,
    with_holes,
)
from genwright.tasks.complete.imports import key, names_of
from genwright.tasks.complete.lead import beginning
from genwright.tasks.complete.options import Hole
from genwright.tasks.complete.order import Bundles, bundle, cut
from genwright.tasks.complete.prompt import lay_out
from genwright.tasks.complete.syntax import edges_of, indented_blocks, spans_of
from genwright.tasks.complete.task import Complete
from genwright.tokens.tokenizer import build_characters, train_bpe

CODE = '''import os


# about the class
class Shape(Base):
    """A shape."""

    def area(self, scale=(1, 2)):
        if scale:
            return self.width * scale[0]
        return 0


@cached
def total(shapes):
    return sum(shape.area() for shape in shapes)


x = {"é": [1, 2]}
'''
BPE = train_bpe([CODE] * 3, 300, SPECIAL)
CHARACTERS = build_characters([CODE], SPECIAL)
code_texts = st.lists(
    st.sampled_from([*CODE.split("\n"), "漢字 = '☃'", "\tif (x[", "  })", "", "  "]), min_size=1, max_size=12
)


def piece(facts, text, path="pkg/a.py", ends=True):
    above = header(facts, path)
    tokens = np.concatenate([above, facts.encode(text), [facts.end_token] if ends else []]).astype(facts.dtype)
    weight = (np.arange(len(tokens)) >= len(above)).astype(np.uint8)
    return {"tokens": tokens, "weight": weight}


def parts_of(tokens, facts):
    """What stands behind each mark of a piece with a hole."""
    names = {index: name for name, index in facts.special.items()}
    found, current = [], None
    for token in tokens.tolist():
        if token in names:
            current = (names[token], [])
            found.append(current)
        elif current is not None:
            current[1].append(token)
    return [(name, facts.to_bytes(its).decode()) for name, its in found]


# --- holes


@given(
    lines=code_texts,
    seed=st.integers(0, 10_000),
    bpe=st.booleans(),
    spm=st.booleans(),
    syntax=st.booleans(),
    ends=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_prefix_middle_and_suffix_are_the_document(lines, seed, bpe, spm, syntax, ends):
    facts, text = BPE if bpe else CHARACTERS, "\n".join(lines) + "\nend"
    prepare = complete_options.Prepare(fim_rate=1, spm_rate=float(spm), syntax_rate=float(syntax))
    before = piece(facts, text, ends=ends)
    example = with_holes(before, facts, prepare, np.random.default_rng(seed))
    tokens, weight = example["tokens"], example["weight"]
    assert len(tokens) <= len(before["tokens"]) + ALLOWANCE and len(tokens) == len(weight)
    if (tokens == facts.special[PREFIX]).sum() == 0:
        assert np.array_equal(tokens, before["tokens"])
        return
    parts = parts_of(tokens, facts)
    assert parts[0] in [(FILE, "pkg/a.py\n"), (FILE, "")] and parts[-1][1] == "" and tokens[-1] == facts.end_token
    names = [name for name, _ in parts[1:-1]]
    if spm:
        assert names == [PREFIX, SUFFIX, MIDDLE]
        assert parts[1][1] == "" and text.endswith(parts[2][1])
        assert parts[3][1] + parts[2][1] == text
    else:
        assert names == [PREFIX, SUFFIX, MIDDLE]
        assert parts[1][1] + parts[3][1] + parts[2][1] == text
    marks = [facts.special[name] for name in SPECIAL]
    assert (weight[np.isin(tokens, marks)] == 0).all()
    content = ~np.isin(tokens, marks) & (np.arange(len(tokens)) >= len(header(facts, parts[0][1].strip())))
    assert (weight[content] == 1).all()


def test_holes_are_made_at_their_rate_and_anew_each_time():
    example = piece(BPE, CODE)
    prepare = complete_options.Prepare(fim_rate=0.3, spm_rate=0.5)
    made = [with_holes(example, BPE, prepare, np.random.default_rng(seed)) for seed in range(300)]
    holes = [m["tokens"] for m in made if (m["tokens"] == BPE.special[MIDDLE]).any()]
    assert 60 < len(holes) < 120
    spm = sum(int(t[np.flatnonzero(t == BPE.special[PREFIX])[0] + 1]) == BPE.special[SUFFIX] for t in holes)
    assert 0.3 < spm / len(holes) < 0.7
    assert len({t.tobytes() for t in holes}) > 40
    again = with_holes(example, BPE, prepare, np.random.default_rng(5))
    assert np.array_equal(again["tokens"], made[5]["tokens"])


def test_each_piece_of_a_row_has_its_own_hole_and_its_own_header():
    row = [piece(BPE, CODE, "a.py", ends=False), piece(BPE, CODE, "b.py")]
    joined = {name: np.concatenate([p[name] for p in row]) for name in row[0]}
    prepare = complete_options.Prepare(fim_rate=1, spm_rate=0)
    made = with_holes(joined, BPE, prepare, np.random.default_rng(1))["tokens"]
    assert [text for name, text in parts_of(made, BPE) if name == FILE] == ["a.py\n", "b.py\n"]
    assert (made == BPE.special[MIDDLE]).sum() == 2


def test_a_mark_inside_a_text_is_text():
    text = f"x = '{MIDDLE}'"
    tokens = BPE.encode(text)
    assert not np.isin(tokens, list(BPE.special.values())).any() and BPE.decode(tokens) == text


def test_half_a_character_is_left_alone():
    example = piece(BPE, "é = 1", ends=False)
    whole = example["tokens"]
    broken = {
        "tokens": np.concatenate([whole, BPE.encode("漢")[:1]]),
        "weight": np.append(example["weight"], np.uint8(1)),
    }
    made = with_holes(broken, BPE, complete_options.Prepare(fim_rate=1), np.random.default_rng(0))
    assert np.array_equal(made["tokens"], broken["tokens"])


def test_weights_that_have_marks_of_another_name_keep_them():
    star = train_bpe([CODE] * 3, 300, ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<file_sep>"))
    half = train_bpe([CODE] * 3, 300, ("<file_sep>",))
    task = Complete(complete_options.Prepare(), None, "transformer")
    assert task.missing_special_tokens(star) == () and can_fill(star)
    assert task.missing_special_tokens(half) == (PREFIX, MIDDLE, SUFFIX) and not can_fill(half)
    made = with_holes(piece(star, CODE), star, complete_options.Prepare(fim_rate=1), np.random.default_rng(0))
    assert (made["tokens"] == star.special["<fim_middle>"]).sum() == 1
    assert len(header(train_bpe([CODE], 300), "a.py")) == 0


# --- syntax


def test_spans_of_python_are_lines_statements_bodies_and_brackets():
    spans = spans_of(CODE, python=True)
    texts = {
        name: {CODE[a:b] for a, b in getattr(spans, name)} for name in ("lines", "statements", "bodies", "brackets")
    }
    assert "def area(self, scale=(1, 2)):" in texts["lines"] and "return 0" in texts["lines"]
    assert 'x = {"é": [1, 2]}' in texts["statements"]
    assert "@cached\ndef total(shapes):\n    return sum(shape.area() for shape in shapes)" in texts["statements"]
    assert "    return sum(shape.area() for shape in shapes)" in texts["bodies"]
    assert "            return self.width * scale[0]" in texts["bodies"]
    assert {"self, scale=(1, 2)", "1, 2", "shape.area() for shape in shapes"} <= texts["brackets"]


def test_a_piece_of_a_class_is_parsed_as_one():
    method = CODE[CODE.index("    def area") : CODE.index("@cached")]
    texts = {method[a:b] for a, b in spans_of(method, python=True).statements}
    assert "return 0" in texts


def test_other_languages_go_by_indentation_and_brackets():
    text = "function f(a) {\n  if (a) {\n    return g(a);\n  }\n}\n"
    spans = spans_of(text, python=False)
    assert {text[a:b] for a, b in indented_blocks(text)} == {"    return g(a);", "  if (a) {\n    return g(a);\n  }"}
    assert "a" in {text[a:b] for a, b in spans.brackets} and spans.statements == []


@given(lines=code_texts, python=st.booleans(), seed=st.integers(0, 100))
@settings(max_examples=100, deadline=None)
def test_every_span_lies_in_the_text_and_holes_too(lines, python, seed):
    text = "\n".join(lines)
    for spans in spans_of(text, python).kinds():
        assert all(0 <= a < b <= len(text) for a, b in spans)
    start, stop = choose_hole(text + "x", python, 0.8, np.random.default_rng(seed))
    assert 0 <= start <= stop <= len(text) + 1


def test_files_are_cut_before_definitions_with_their_comments_and_decorators():
    edges = dict(edges_of(CODE, python=True))
    tops = {CODE[place:].split("\n")[0] for place, level in edges.items() if level == 0}
    assert tops == {"# about the class", "@cached", 'x = {"é": [1, 2]}'}
    assert edges[CODE.index("    def area")] == 1 and edges[CODE.index("        return 0")] == 2


# --- imports and order


def test_names_are_followed_through_every_form_of_import():
    text = (
        "import a.b\nimport c as d\nfrom .near import one as uno\nfrom . import near\nfrom ..far import two\n"
        "def f():\n    a.b.g(); d.h; uno(); near.three; two()\n"
    )
    uses = {name for _, name in names_of(text, "pkg/sub/mod.py", "s").uses}
    wanted = ["a.b.g", "c.h", "pkg.sub.near.one", "pkg.sub.near.three", "pkg.far.two"]
    assert {key("s", name) for name in wanted} <= uses
    defines = {(name, rank) for _, name, rank in names_of(text, "pkg/sub/mod.py", "s").defines}
    assert {(key("s", "pkg.sub.mod.f"), 0), (key("s", "sub.mod.f"), 1), (key("s", "mod.f"), 2)} <= defines
    assert {(key("s", "pkg.sub"), 0)} <= {(n, r) for _, n, r in names_of("", "pkg/sub/__init__.py", "s").defines}


@given(length=st.integers(0, 300), room=st.integers(8, 80), places=st.lists(st.integers(1, 299), max_size=30))
@settings(max_examples=100, deadline=None)
def test_cuts_cover_a_file_and_no_piece_is_too_long(length, room, places):
    edges = np.array([(place, place % 3) for place in sorted(set(places))], dtype=np.int64).reshape(-1, 2)
    spans = cut(length, edges, room, max(room // 8, 1))
    assert [t for a, b in spans for t in range(a, b)] == list(range(length))
    assert all(0 < b - a <= room for a, b in spans)


def test_a_definition_is_not_cut_where_it_fits():
    edges = np.array([(10, 0), (20, 2), (30, 0), (45, 2)])
    assert cut(60, edges, 40, 5) == [(0, 10), (10, 30), (30, 60)]
    assert cut(60, edges, 16, 5) == [(0, 10), (10, 20), (20, 30), (30, 45), (45, 60)]


def test_what_is_used_stands_before_what_uses_it():
    # Atom 0 uses 3 (of another file), 3 uses 0; 1 goes on from 0.
    together = bundle([10, 10, 10, 10], [2] * 4, [False, True, False, False], [(0, 3, 2), (3, 0, 1)], room=40)
    assert together == [[[3], [0, 1]], [[2]]]
    assert bundle([10] * 4, [2] * 4, [False, True, True, True], [], room=40) == [[[0, 1, 2]], [[3]]]
    assert bundle([10, 10], [2, 2], [False, False], [(0, 1, 1)], room=23) == [[[0]], [[1]]]


def test_bundles_hold_every_token_once_and_imports_together(tmp_path):
    task = Complete(complete_options.Prepare(), None, "transformer")
    files = {
        "tool/user.py": "from tool.helper import assist\n\n\ndef run(x):\n    return assist(x)\n",
        "tool/other.py": "def nothing():\n    return 0\n" * 6,
        "tool/helper.py": "def assist(x):\n    return x + 1\n",
    }
    items = [Item(id=path, source="s", path=path, fields={"text": text}) for path, text in files.items()]
    write_part(tmp_path / "part", [(item.id, example) for item in items for example in task.encode(item, BPE)])
    store = ExampleStore([tmp_path / "part"])
    bundles = Bundles(store, room=140)
    assert bundles.together() == (1, 1)
    assert (bundles.lengths("tokens") <= 140).all()
    texts = []
    for number in range(len(bundles)):
        example = bundles[number]
        assert len(example["tokens"]) == bundles.lengths("tokens")[number] == len(example["weight"])
        texts.append(BPE.decode(example["tokens"][example["weight"] == 1]))
        heads = BPE.decode(example["tokens"][example["weight"] == 0]).split()
        if "tool/user.py" in heads:
            assert heads.index("tool/helper.py") < heads.index("tool/user.py")
    assert sorted("".join(texts)) == sorted("".join(files.values()))


# --- requests


def test_a_request_is_laid_out_as_the_training_was():
    hole = Hole("def f(x):\n    return ", "\n\nf(1)\n", "pkg/a.py")
    for order in ("psm", "spm"):
        laid = lay_out(BPE, hole, "", context=200, max_tokens=20, order=order)
        shown = parts_of(np.array(laid.tokens), BPE)
        assert [name for name, _ in shown[2:]] == [PREFIX, SUFFIX, MIDDLE] and shown[1] == (FILE, "pkg/a.py\n")
        by_name = dict(shown)
        assert by_name[SUFFIX] == hole.suffix
        assert (by_name[MIDDLE] if order == "spm" else by_name[PREFIX]) + laid.lead == hole.prefix
        assert laid.lead == " "
        assert laid.room == 200 - len(laid.tokens)


def test_a_long_file_keeps_what_is_near_the_hole():
    hole = Hole("a = 1\n" * 2000 + "near = ", "\nbehind\n" + "b = 2\n" * 2000, "")
    laid = lay_out(BPE, hole, "", context=120, max_tokens=30, order="psm")
    assert len(laid.tokens) <= 90 and laid.room >= 30
    by_name = dict(parts_of(np.array(laid.tokens), BPE))
    assert by_name[PREFIX].endswith("a = 1\nnear =") and by_name[PREFIX].startswith("a = 1\n")
    assert by_name[SUFFIX].startswith("\nbehind\nb = 2") and by_name[MIDDLE] == ""


@given(st.text(" \tab\n", max_size=8), st.sampled_from(["", " ", "    ", "\t \t", "        "]))
def test_an_answer_begins_with_the_white_space_before_the_hole(text, lead):
    """Whatever tokens a greedy reader of `lead` + `text` takes, each is allowed, and none that would leave the lead."""
    guide = beginning(BPE, lead, BPE.size)
    if not lead:
        assert guide is None
        return
    tokens, written = [], b""
    for token in BPE.encode(lead + text).tolist():
        allowed = guide(tokens)
        if len(written) < len(lead):
            assert allowed.dtype == torch.bool and allowed[token] and not allowed[BPE.end_token]
            rest = lead.encode()[len(written) :]
            for other in allowed.nonzero()[:, 0].tolist():
                piece = BPE.token_bytes[other]
                assert piece.startswith(rest) or rest.startswith(piece)
        else:
            assert not allowed.any()
        tokens.append(token)
        written += BPE.token_bytes[token]


def test_after_the_lead_what_else_is_asked_holds():
    seen = []
    guide = beginning(BPE, "  ", BPE.size, lambda generated: seen.append(list(generated)) or torch.zeros(BPE.size))
    lead, more = BPE.encode("  ").tolist(), BPE.encode("ab").tolist()
    guide([*lead, *more])
    assert seen == [more]
    assert {BPE.token_bytes[token] for token in guide([]).nonzero()[:, 0].tolist()} <= {b" ", b"  "}


def test_files_beside_come_first():
    helper = File(path="helper.py", text="def assist(): pass\r\n")
    hole = Hole("assist(", ")", "main.py")
    laid = lay_out(BPE, hole, "", context=300, max_tokens=10, order="psm", beside=[helper])
    shown = parts_of(np.array(laid.tokens), BPE)
    assert [text for name, text in shown if name == FILE] == ["helper.py\ndef assist(): pass\n", "main.py\n"]


def test_a_request_has_a_prompt_or_a_hole():
    with pytest.raises(ValueError, match="either"):
        complete_options.Request(prompt="a", suffix="b")
    assert complete_options.hole_of(complete_options.Request(prompt="x")) is None
    assert complete_options.hole_of(complete_options.Request(suffix="x")) == Hole("", "x", "")


# --- near-duplicates


def test_files_that_are_nearly_the_same_belong_together():
    words = [f"word{i}" for i in range(400)]
    changed = [*words[:200], "another", *words[201:]]
    texts = [" ".join(words), " ".join(reversed(words)), "  ".join(changed), "short", "short", " ".join(words[:150])]
    assert clusters(texts, 0.7) == [0, 1, 0, 3, 4, 5]
    many = " ".join("another" if i % 40 == 0 else word for i, word in enumerate(words))
    assert clusters([texts[0], many], 0.9) == [0, 1]


# --- other languages


SCRIPT = "import { one } from './near.js';\n\nfunction two(a) {\n  if (a) {\n    return one(a);\n  }\n}\n\nexport const three = [two(1)];\n"


def test_code_in_another_language_is_cut_by_its_blank_lines():
    task = Complete(complete_options.Prepare(), None, "transformer")
    item = Item(id="1", source="folder:src", path="web/two.js", fields={"text": SCRIPT})
    (example,) = task.encode(item, BPE)
    assert BPE.decode(example["header"]) == "web/two.js\n" and len(example["defines"]) == len(example["uses"]) == 0
    tokens = example["tokens"]
    tops = [BPE.decode(tokens[token:]).split("\n")[0] for token, level in example["edges"] if level == 0]
    assert tops == ["function two(a) {", "export const three = [two(1)];"]


def test_a_small_project_is_divided_into_blocks_and_only_the_last_one_ends():
    task = Complete(complete_options.Prepare(), None, "transformer")
    whole = Item(id="1", source="s", path="long.py", fields={"text": CODE * 40})
    spans = task.divide(whole)
    assert len(spans) > 3
    tokens = []
    for start, stop in spans:
        child = Item(id=str(start), source="s", path=f"long.py#{start}", fields=whole.fields, start=start, stop=stop)
        (example,) = task.encode(child, BPE)
        assert BPE.decode(example["header"]) == "long.py\n"
        tokens.append(example["tokens"])
    assert [int((t == BPE.end_token).sum()) for t in tokens] == [0] * (len(tokens) - 1) + [1]
    assert BPE.decode(np.concatenate(tokens)) == CODE * 40
