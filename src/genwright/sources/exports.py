"""Exports of messengers as conversations: WhatsApp (.txt), Telegram (result.json) and Discord (the JSON of DiscordChatExporter).

A conversation ends where nobody writes for some hours. With two people the one whose export it is, or a bot, is the assistant where
the export tells, else the one who spoke second; among more, each speaker's name is the role, and `prepare.conversation` says who
the assistant is: {turns: messages, role: name, text: content, assistant: [Ann]}. Pictures, calls and notices are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

_PAUSE_MINUTES = 6 * 60
_LEAST_LINES = 2
_LINE = re.compile(
    r"^[\u200e\u200f]*(?P<open>\[)?(?P<date>\d{1,4}([./-])\d{1,2}\3\d{1,4})(?P<comma>,| um| at)?[ \u202f]"
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d\d)(?:[:.]\d\d)?(?:[ \u202f\u00a0]?(?P<half>[ap])\.?[ \u00a0]?m\.?)?"
    r"(?(open)\] ?| - )(?P<rest>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_NO_WORDS = re.compile(r"\u200e|<[^<>\n]+>$|(This message was deleted|You deleted this message)\.?$|null$")
_EDITED = re.compile(r"\s*\u200e?<[^<>\n]*(edited|bearbeitet|editad|modifi)[^<>\n]*>\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Said:
    """A message: who wrote what and when, and where it begins in the file."""

    speaker: str
    text: str
    minute: float
    start: int = 0


@dataclass(frozen=True)
class Conversation:
    """A conversation as a row of messages, and where it begins in the file."""

    row: dict[str, Any]
    start: int


def whatsapp(text: str) -> list[Conversation] | None:
    """The conversations of a chat that WhatsApp exported as text; None where the text is none."""
    if not _LINE.match(text.lstrip("\ufeff\u200e \n")):
        return None
    lines = list(_LINE.finditer(text))
    if len(lines) < _LEAST_LINES:
        return None
    if not all(line["open"] or line["comma"] or line[3] != "-" for line in lines):
        return None
    days = _days([line["date"] for line in lines])
    said = []
    for line, day, stop in zip(lines, days, [*(line.start() for line in lines[1:]), len(text)], strict=True):
        speaker, colon, words = text[line.start("rest") : stop].partition(": ")
        words = _EDITED.sub("", words).strip()
        if not colon or "\n" in speaker or len(speaker) > 80 or not words or _NO_WORDS.match(words):
            continue
        hour = int(line["hour"]) % 12 + 12 * (line["half"].lower() == "p") if line["half"] else int(line["hour"])
        said.append(
            Said(speaker.strip("\u200e~ \u202f"), words, day * 1440 + hour * 60 + int(line["minute"]), line.start())
        )
    return conversations(said) if said else None


def exported(content: Any) -> list[Conversation] | None:
    """The conversations of an export in JSON, of Telegram (a chat or all of them) or Discord; None where it is none."""
    if not isinstance(content, dict):
        return None
    chats = content.get("chats")
    if isinstance(chats, dict) and isinstance(chats.get("list"), list):
        return [found for chat in chats["list"] for found in exported(chat) or []]
    messages = content.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return None
    if isinstance(content.get("channel"), dict) and "guild" in content:
        return _discord(content["channel"], messages)
    if isinstance(content.get("type"), str) and "id" in content and all("type" in m and "date" in m for m in messages):
        said = [
            Said(str(m["from"]), _words(m.get("text")), _minute(m["date"]))
            for m in messages
            if m["type"] == "message" and m.get("from")
        ]
        return conversations(said, user=str(content.get("name")) if content["type"] == "personal_chat" else None)
    return None


def _discord(channel: dict[str, Any], messages: Sequence[dict[str, Any]]) -> list[Conversation]:
    said, bots = [], set()
    for message in messages:
        author = message.get("author")
        if not isinstance(author, dict) or message.get("type") not in ("Default", "Reply"):
            continue
        name = str(author.get("nickname") or author.get("name"))
        said.append(Said(name, _words(message.get("content")), _minute(message.get("timestamp"))))
        if author.get("isBot"):
            bots.add(name)
    return conversations(said, user=str(channel.get("name")), bot=bots.pop() if len(bots) == 1 else None)


def conversations(said: Iterable[Said], user: str | None = None, bot: str | None = None) -> list[Conversation]:
    """Messages cut into conversations; `user` and `bot` are who is known to be no assistant, or one."""
    said = [one for one in said if one.text.strip()]
    people = list(dict.fromkeys(one.speaker for one in said))
    assistant = ""
    if len(people) == 2:
        other = people[1] if user not in people else next(name for name in people if name != user)
        assistant = bot if bot in people and bot else other
    cuts = [i for i, (a, b) in enumerate(pairwise(said), 1) if not abs(b.minute - a.minute) <= _PAUSE_MINUTES]
    found = []
    for start, stop in pairwise([0, *cuts, len(said)]):
        messages = [
            {"role": _role(one.speaker, assistant), "name": one.speaker, "content": one.text}
            for one in said[start:stop]
        ]
        if messages:
            found.append(Conversation({"messages": messages, "exported": True}, said[start].start))
    return found


def assistant_of(row: dict[str, Any]) -> str:
    """The name of the one who is the assistant of a conversation that was read from an export; "" where nobody is."""
    if not row.get("exported"):
        return ""
    return next((message["name"] for message in row["messages"] if message["role"] == "assistant"), "")


def _role(speaker: str, assistant: str) -> str:
    return speaker if not assistant else "assistant" if speaker == assistant else "user"


def _words(text: Any) -> str:
    """A text, or parts of one: words and links, pictures and the like without words."""
    if isinstance(text, list):
        return "".join(
            part if isinstance(part, str) else str(part.get("text", ""))
            for part in text
            if isinstance(part, str | dict)
        )
    return text if isinstance(text, str) else ""


def _minute(time: Any) -> float:
    """Minutes since some day; not a number where it can't be told."""
    try:
        return datetime.fromisoformat(str(time)).replace(tzinfo=None).timestamp() / 60
    except ValueError:
        return float("nan")


def _days(dates: Sequence[str]) -> list[int]:
    """The number of each day; of the two ways to write one with the year behind, that in which all are days, and in order."""
    numbers = [tuple(map(int, re.split(r"[./-]", day))) for day in dates]
    orders = [(0, 1, 2)] if any(a > 31 for a, _, _ in numbers) else [(2, 1, 0), (2, 0, 1)]
    ways = []
    for year, month, day in orders:
        try:
            days = [date(n[year] + (2000 if n[year] < 100 else 0), n[month], n[day]).toordinal() for n in numbers]
        except ValueError:
            continue
        ways.append((sum(b < a for a, b in pairwise(days)), days))
    return min(ways)[1] if ways else [0] * len(dates)
