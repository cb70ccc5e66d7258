"""Items of several files of one source, which a pattern for each role finds: `{main: noisy/*.wav, target: clean/*.wav}`.

The `*` of the patterns stands for the same text in all files of an item, folders included; a `.*` at the end stands for any ending.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from genwright.errors import RequestError
from genwright.ledger import Drop, Item
from genwright.rights.licence import is_legal_text
from genwright.sources.captions import caption
from genwright.sources.place import Place, same, with_further
from genwright.sources.tree import Entry

MAIN = "main"
"""The role of the file that the item is called by."""
TEXT = "text"
"""The role of a file that says an item's words."""
_ANY_ENDING = ".*"


def check_pattern(pattern: str) -> str:
    """Raises ValueError, as the end of a sentence, where a pattern has no single place for what the files share."""
    if pattern.removesuffix(_ANY_ENDING).count("*") != 1:
        raise ValueError(f"{pattern!r} must have one `*`, for what the names of an item's files share: `clean/*.wav`")
    return pattern


class Several:
    """The files of a source by role and by what their names share."""

    def __init__(self, patterns: Mapping[str, str], place: Place, language: str | None):
        self.patterns, self.place, self.language = dict(patterns), place, language
        self.further: dict[str, dict[str, Entry]] = {role: {} for role in patterns if role != MAIN}
        self.stems: dict[str, str] = {}
        """Of main files, by path."""
        self.roles: dict[str, str] = {}
        """Of further files, by path."""
        tests = {role: _test(pattern) for role, pattern in patterns.items()}
        main = tests.get(MAIN) or re.compile(r"(?P<stem>.+?)(\.[^./]*)?")
        for entry in place.entries.values():
            path = same(entry.path)
            role = next((role for role in self.further if tests[role].fullmatch(path)), None)
            if role is not None:
                self.further[role].setdefault(_stem(tests[role], path), entry)
                self.roles[entry.path] = role
            elif main.fullmatch(path) and (MAIN in tests or not is_legal_text(entry.name)):
                self.stems[entry.path] = _stem(main, path)
        self._there = set(self.stems.values())
        self._check()

    def _check(self) -> None:
        """Raises RequestError where no file has a role: a slip of the pen, not a hundred missing files."""
        found = {MAIN: self.stems, **self.further}
        for role, files in found.items():
            if not files:
                shown = f" {self.patterns[role]}," if role in self.patterns else ""
                raise RequestError(
                    f"{self.place.name}: `files.{role}` finds no file; nothing in it is called{shown or ' so'} check the pattern."
                )

    def is_taken(self, entry: Entry) -> bool:
        """Whether an entry is a further file of some item, and so no item of its own."""
        role = self.roles.get(entry.path)
        return role is not None and self._stem_of(role, entry) in self._there

    def complete(self, item: Item, entry: Entry) -> None:
        """Give an item its further files, or drop it: where one is missing, or where it is no file of any item."""
        if not item.kept:
            return
        stem = self.stems.get(entry.path)
        if stem is None:
            role = self.roles.get(entry.path)
            item.drop(
                Drop(
                    "unreferenced", f"a {role} without what it belongs to" if role else "it fits no pattern of `files`"
                )
            )
            return
        for role, by_stem in self.further.items():
            found = by_stem.get(stem)
            missing = with_further(role, found, self.patterns[role].replace("*", stem, 1), None)
            if missing is not None or found is None:
                item.drop(missing or Drop("missing_file"))
                return
            if role == TEXT:
                caption(item, found, self.language)
            else:
                item.files[role] = self.place.further(found)

    def _stem_of(self, role: str, entry: Entry) -> str:
        return _stem(_test(self.patterns[role]), same(entry.path))


def _test(pattern: str) -> re.Pattern[str]:
    any_ending = pattern.endswith(_ANY_ENDING) and pattern.count("*") == 2
    before, _, behind = (pattern.removesuffix(_ANY_ENDING) if any_ending else pattern).partition("*")
    ending = r"\.[^./]+" if any_ending else ""
    return re.compile(f"{re.escape(same(before))}(?P<stem>.+){re.escape(same(behind))}{ending}")


def _stem(test: re.Pattern[str], path: str) -> str:
    match = test.fullmatch(path)
    return match["stem"] if match else ""
