"""Scores of regulated verse: rhyme groups are found again, tones are learned, rules are those of the books."""

import numpy as np
import pytest

from genwright.metrics import poems

STORK = "白日依山盡，黃河入海流。\n欲窮千里目，更上一層樓。"
"""Wang Zhihuan's "On the Stork Tower", which keeps every rule, begun oblique."""
STORK_TONES = "仄仄平平仄，平平仄仄平。\n仄平平仄仄，仄仄仄平平。"


def test_lines_are_runs_of_chinese_characters():
    assert poems.verse("白日，(x) 依山\n盡。𩅰") == ["白日", "依山", "盡", "𩅰"]
    assert poems.verse("no verse at all") == []


@pytest.mark.parametrize(
    ("lengths", "regular"),
    [([5] * 4, True), ([7] * 8, True), ([5] * 5, False), ([6] * 4, False), ([5, 5, 5, 7], False), ([7] * 12, False), ([], False)],
)  # fmt: skip
def test_the_forms_of_regulated_verse(lengths, regular):
    assert poems.is_regular(["月" * n for n in lengths]) is regular


def invented(groups: int, count: int, seed: int) -> tuple[list[list[str]], dict[str, int]]:
    """Poems whose even lines end in characters of one group, and the groups. Some characters are common, most are rare."""
    rng = np.random.default_rng(seed)
    letters = [chr(0x4E00 + i) for i in range(groups * 12)]
    group_of = {letter: i % groups for i, letter in enumerate(letters)}
    members = [[c for c in letters if group_of[c] == g] for g in range(groups)]
    weight = 1 / np.arange(1, 13)
    made = []
    for _ in range(count):
        ends = rng.choice(members[rng.integers(groups)], size=4, replace=False, p=weight / weight.sum())
        odd = rng.choice(letters, size=4)
        made.append(["山水花月" + str(end) for pair in zip(odd, ends, strict=True) for end in pair])
    return made, group_of


def test_rhyme_groups_are_found_again():
    made, group_of = invented(groups=15, count=4000, seed=0)
    rhymes = poems.learn_rhymes(made)
    known = list(rhymes.index)
    right = [rhymes.rhyme(a, b) == (group_of[a] == group_of[b]) for a in known for b in known if a != b and a < b]
    assert np.mean(right) > 0.99


def test_rhyme_of_strangers_and_of_chance():
    made, _ = invented(groups=15, count=4000, seed=0)
    rhymes = poems.learn_rhymes(made)
    held_out = ["，".join(lines) for lines in invented(groups=15, count=300, seed=1)[0]]
    real, chance = poems.rhyme(held_out, rhymes), poems.rhyme(poems.shuffled_ends(held_out), rhymes)
    assert real.value > 0.97 and real.n == 900
    assert chance.value < 0.15
    assert real.low is not None and real.low > 0.9


def test_what_rhymes_with_nothing():
    made, _ = invented(groups=5, count=500, seed=0)
    rhymes = poems.learn_rhymes(made)
    a = made[0][1][-1]
    assert not rhymes.rhyme(a, a)
    assert not rhymes.rhyme(a, "龘")
    nothing = poems.learn_rhymes([])
    assert not nothing.rhyme("流", "樓")
    assert poems.rhyme([STORK], nothing).value == 0
    assert poems.rhyme(["no verse"], rhymes).n == 0


def test_tones_are_learned_where_they_are_certain():
    pattern = "平仄平仄平仄○？"
    texts = [("流日流日流日中何", pattern)] * 3 + [("爲", "平")] * 6 + [("爲", "仄")] * 4 + [("流", "仄仄")] * 100
    assert poems.learn_tones(texts) == {"流": True, "日": False}


def test_a_poem_that_keeps_the_rules():
    table = poems.learn_tones([(STORK, STORK_TONES)] * 5)
    score = poems.tones([STORK], table)
    assert score.value == 1
    # Two ruled places in each of four lines, and the ends of three.
    assert score.n == 11


def test_tones_that_break_the_rules_cost():
    table = poems.learn_tones([(STORK, STORK_TONES)] * 5)
    lines = poems.verse(STORK)
    broken = "，".join([lines[0], lines[0], *lines[2:]])
    assert poems.tones([broken], table).value < 0.8
    assert poems.tones(["白日依山盡"], table).n == 0
    assert poems.tones(poems.shuffled_characters([STORK] * 200), table).value == pytest.approx(0.62, abs=0.05)


def test_form_is_a_share_with_an_interval():
    score = poems.form([STORK] * 30 + ["not verse"] * 10)
    assert score.value == 0.75
    assert score.low is not None and score.high is not None and score.low < 0.75 < score.high


def test_exchanging_keeps_the_characters():
    other = poems.shuffled_ends([STORK, "no verse", STORK.replace("流", "河")])
    assert len(other) == 2 and all(poems.is_regular(poems.verse(text)) for text in other)
    assert [line[:-1] for line in poems.verse(other[0])] == [line[:-1] for line in poems.verse(STORK)]
    everything = poems.shuffled_characters([STORK, STORK])
    assert sorted("".join(everything)) == sorted("，".join(poems.verse(STORK)) * 2)
