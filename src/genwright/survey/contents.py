"""What the survey reads out of texts beside their length: what is private, what a task takes as it stands."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from genwright.about import Found, Refused, Survey
from genwright.console import say
from genwright.files import printable
from genwright.ledger import Drop, Item
from genwright.media.text import decode
from genwright.registry import TASKS, about
from genwright.sources.rows import SUFFIXES
from genwright.survey.privacy import private_in

_SEARCHED = 50_000_000
"""Characters that are searched for what is private: some ten seconds."""


class Contents:
    """Reads texts one after another, and notes in a survey what they hold."""

    def __init__(self, survey: Survey):
        self.survey = survey
        self.searched = 0
        self.refusers = {task: refuse for task in TASKS if (refuse := about(task).refused_file)}
        self.takers = {task: take for task in TASKS if (take := about(task).whole_file)}

    def read(self, item: Item, data: bytes) -> None:
        """A text that was read whole."""
        text = decode(data)
        if isinstance(text, Drop):
            return
        if self.searched < _SEARCHED:
            self.survey.private += private_in(item.path, text)
            self.searched += len(text)
        else:
            self.survey.searched_whole = False
        ending = posixpath.splitext(item.path)[1].lower()
        if not ending.endswith(SUFFIXES) and (found := self._whole(item, text, ending)):
            self.survey.tables.append(found)

    def read_again(self, items: Sequence[Item]) -> None:
        """Files that are called like tables but are none: a conversation a file, say."""
        for item in items:
            ending = posixpath.splitext(item.path)[1].lower()
            if ending == ".parquet":
                continue
            try:
                text = decode(item.read_bytes())
            except OSError:
                continue
            if isinstance(text, str) and (found := self._whole(item, text, ending)):
                self.survey.tables.append(found)

    def _whole(self, item: Item, text: str, ending: str) -> Found | None:
        counts = {
            task: count
            for task in list(self.takers)
            if (count := self._count(self.takers, task, text, ending, item.path))
        }
        for task in list(self.refusers):
            count, why = self._count(self.refusers, task, text, ending, item.path) or (0, "")
            if count:
                self.survey.refused.append(Refused(item.path, task, count, why))
        return Found(item.path, max(counts.values()), whole=counts, bytes=len(text), joined=False) if counts else None

    def _count(self, asked: dict[str, Any], task: str, text: str, ending: str, path: str) -> Any:
        try:
            return asked[task](text, ending)
        except Exception as error:  # a task from another package must not keep the others from being looked at
            say(
                f"{task}: could not look into {printable(path)} ({type(error).__name__}: {error}), and is not asked again."
            )
            del asked[task]
            return None
