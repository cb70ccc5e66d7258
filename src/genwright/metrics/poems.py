"""Scores of Chinese regulated verse: form, rhyme and tones, with what rhymes and which tone a character has learned from poems.

There is no rhyme dictionary and no pronunciation here. Rhyme groups are learned from which characters end the even lines of one
poem together; tones from tone patterns given beside poems. Both are learned from training poems only, so that held-out real poems
are judged as strangers too.

P poems, G rhyme groups, V characters that end lines
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from genwright.metrics.text import share
from genwright.scores import Score

_BETWEEN = re.compile(r"[^\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
"""Whatever is no Chinese character stands between two lines of verse."""

_GROUPS = 40
"""Rhyme groups to look for at most. The traditional system has 30 of level tone; more split large groups and cost agreement."""
_ROUNDS = 12
_LEAST_TONES = 5
_CERTAIN = 0.85

_LEVEL, _OBLIQUE = "平", "仄"


def verse(text: str) -> list[str]:
    """The lines of a poem: its runs of Chinese characters. A couplet of `，` and `。` is two lines."""
    return [line for line in _BETWEEN.split(text) if line]


def is_regular(lines: Sequence[str]) -> bool:
    """Whether a poem has the form of regulated verse: four or eight lines, all of five or all of seven characters."""
    return len(lines) in (4, 8) and len(lines[0]) in (5, 7) and len(set(map(len, lines))) == 1


def form(texts: Sequence[str], seed: int = 0) -> Score:
    """Share of texts in the form of regulated verse."""
    return share(np.array([is_regular(verse(text)) for text in texts]), np.ones(len(texts)), seed=seed)


@dataclass(frozen=True)
class Rhymes:
    """Which characters rhyme: each character's distribution over groups."""

    index: dict[str, int]
    groups_VG: np.ndarray  # noqa: N815

    def rhyme(self, a: str, b: str) -> bool:
        """Whether two characters are more likely than not of one group. A character does not rhyme with itself, nor an unknown one."""
        i, j = self.index.get(a), self.index.get(b)
        return a != b and i is not None and j is not None and float(self.groups_VG[i] @ self.groups_VG[j]) > 0.5


def learn_rhymes(poems: Iterable[Sequence[str]]) -> Rhymes:
    """Rhyme groups as the parts of a mixture: each poem has one group, from whose characters all its even lines take their ends.

    Fitted by expectation maximisation (mixture of unigrams: Nigam et al., Machine Learning 39, 2000, equations 5 and 6), begun from
    the commonest characters that do not rhyme with each other. `poems` are lines of regular poems (see `verse`, `is_regular`).
    """
    index: dict[str, int] = {}
    ends = [[index.setdefault(line[-1], len(index)) for line in lines[1::2]] for lines in poems]
    if not ends:
        return Rhymes({}, np.zeros((0, 1)))
    size, longest = len(index), max(map(len, ends))
    # Poems with fewer lines are padded with a character that every group is certain of.
    ends_PL = np.full((len(ends), longest), size, dtype=np.int64)
    for row, characters in enumerate(ends):
        ends_PL[row, : len(characters)] = characters
    groups_GV = _first_guess(ends_PL, size)
    share_G = np.full(len(groups_GV), 1 / len(groups_GV))
    for _ in range(_ROUNDS):
        log_VG = np.log(np.concatenate([groups_GV, np.ones((len(groups_GV), 1))], axis=1)).T.astype(np.float32)
        score_PG = log_VG[ends_PL].sum(axis=1) + np.log(share_G).astype(np.float32)
        score_PG -= score_PG.max(axis=1, keepdims=True)
        weight_PG = np.exp(score_PG)
        weight_PG /= weight_PG.sum(axis=1, keepdims=True)
        share_G = weight_PG.mean(axis=0) + 1e-6
        counts_GV = np.stack(
            [np.bincount(ends_PL.ravel(), np.repeat(weight, longest), size + 1)[:size] for weight in weight_PG.T]
        )
        groups_GV = counts_GV + 0.01
        groups_GV /= groups_GV.sum(axis=1, keepdims=True)
    joint_VG = (groups_GV * share_G[:, None]).T
    return Rhymes(index, joint_VG / joint_VG.sum(axis=1, keepdims=True))


def _first_guess(ends_PL: np.ndarray, size: int) -> np.ndarray:
    """A group for each of the commonest characters that do not stand together more than chance has it."""
    pairs = Counter()
    for column in range(1, ends_PL.shape[1]):
        known = ends_PL[:, column] < size
        keys, counts = np.unique(ends_PL[known, column - 1] * size + ends_PL[known, column], return_counts=True)
        pairs.update(dict(zip(keys.tolist(), counts.tolist(), strict=True)))
    neighbours: dict[int, Counter[int]] = {}
    for key, count in pairs.items():
        a, b = divmod(key, size)
        if a != b:
            neighbours.setdefault(a, Counter())[b] += count
            neighbours.setdefault(b, Counter())[a] += count
    total = {a: sum(counter.values()) for a, counter in neighbours.items()}
    whole = max(sum(total.values()), 1)
    seeds: list[int] = []
    for a in sorted(total, key=lambda c: (-total[c], c)):
        if all(neighbours[a][b] * whole < total[a] * total[b] for b in seeds):
            seeds.append(a)
        if len(seeds) == _GROUPS:
            break
    groups_GV = np.full((max(len(seeds), 1), size), 1e-3)
    for group, a in enumerate(seeds):
        for b, count in neighbours[a].items():
            groups_GV[group, b] += count / total[a] * size * 0.01
        groups_GV[group, a] += 1
    return groups_GV / groups_GV.sum(axis=1, keepdims=True)


def rhyme(texts: Sequence[str], rhymes: Rhymes, seed: int = 0) -> Score:
    """Share of the neighbouring even lines of regular poems whose last characters rhyme. `Score.n` is their number."""
    hits, pairs = [0], [0]
    for text in texts:
        if is_regular(lines := verse(text)):
            found = [rhymes.rhyme(a[-1], b[-1]) for a, b in zip(lines[1::2], lines[3::2], strict=False)]
            hits.append(sum(found))
            pairs.append(len(found))
    return share(np.array(hits), np.array(pairs), seed=seed)


def learn_tones(poems: Iterable[tuple[str, str]]) -> dict[str, bool]:
    """Whether a character is level (True) or oblique, from texts and their tone patterns, letter under letter.

    Only characters that have one tone nearly always; marks other than level and oblique (either, unknown) say nothing, and neither
    does a text whose pattern is not of its length.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for text, pattern in poems:
        if len(text) == len(pattern):
            counts.update(zip(text, pattern, strict=True))
    tones = {}
    for character in {character for character, _ in counts}:
        level, oblique = counts[character, _LEVEL], counts[character, _OBLIQUE]
        if level + oblique >= _LEAST_TONES and max(level, oblique) >= _CERTAIN * (level + oblique):
            tones[character] = level > oblique
    return tones


def tones(texts: Sequence[str], table: dict[str, bool], seed: int = 0) -> Score:
    """Share of the characters of regular poems, where the rules of regulated verse set a tone, that have it.

    The rules: in a line the second, fourth and sixth characters alternate; the second line of a couplet is the opposite of the first,
    the first of the next the same as the second of the last; even lines end level, odd ones but the first oblique (Wang Li,
    "Hanyu shilü xue", 1958, chapter 1). A poem may begin either way: the one that fits it better counts, so a poem of random tones
    has somewhat over a half. Characters of no certain tone are left out.
    """
    hits, places = [0], [0]
    for text in texts:
        if is_regular(lines := verse(text)):
            hit, place = max((_fit(lines, table, level) for level in (True, False)), key=lambda fit: fit[0])
            hits.append(hit)
            places.append(place)
    return share(np.array(hits), np.array(places), seed=seed)


def _fit(lines: Sequence[str], table: dict[str, bool], level: bool) -> tuple[int, int]:
    """How many of the ruled places agree where the second character of the poem is level (or not), and how many there are."""
    hits = places = 0
    for number, line in enumerate(lines):
        opposite = number % 4 in (1, 2)
        wanted = {place: level ^ opposite ^ (place % 4 == 3) for place in range(1, len(line) - 1, 2)}
        if number:
            wanted[len(line) - 1] = number % 2 == 1
        for place, tone in wanted.items():
            known = table.get(line[place])
            if known is not None:
                places += 1
                hits += known == tone
    return hits, places


def shuffled_ends(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The regular poems among some texts with the last characters of all their lines exchanged: what chance makes of rhyme."""
    poems = [lines for text in texts if is_regular(lines := verse(text))]
    ends = np.random.default_rng(seed).permutation([line[-1] for lines in poems for line in lines]).tolist()
    return ["，".join(line[:-1] + ends.pop() for line in lines) for lines in poems]


def shuffled_characters(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The regular poems among some texts with all their characters exchanged: what chance makes of rhyme and tones."""
    poems = [lines for text in texts if is_regular(lines := verse(text))]
    characters = np.random.default_rng(seed).permutation(list("".join(map("".join, poems)))).tolist()
    return ["，".join("".join(characters.pop() for _ in line) for line in lines) for lines in poems]
