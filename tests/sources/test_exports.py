"""Exports of messengers as they come are conversations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genwright.sources.exports import exported, whatsapp
from genwright.sources.rows import read_rows

ANDROID = """\
12/30/23, 9:14\u202fPM - Messages and calls are end-to-end encrypted. No one outside of this chat can read them.
12/30/23, 9:15\u202fPM - Ann: Are you there?
It is late: I know.
12/30/23, 9:16\u202fPM - Bob: <Media omitted>
12/30/23, 9:16\u202fPM - Bob: Yes. <This message was edited>
12/31/23, 8:01\u202fAM - Bob: Good morning
12/31/23, 8:02\u202fAM - Ann: Morning!
"""
IPHONE = """\
[31.12.23, 23:50:07] Ann: \u200eMessages and calls are end-to-end encrypted.
[31.12.23, 23:50:09] Ann: Happy new year
\u200e[01.01.24, 00:10:01] Bob: \u200eimage omitted
[01.01.24, 00:11:44] ~ Bob: And to you
"""
BRAZIL = "01/02/2020 10:00 - Ana: oi\n13/02/2020 10:01 - Bia: olá\n"


def said(conversations: object) -> list[list[tuple[str, str, str]]]:
    return [[(m["role"], m["name"], m["content"]) for m in one.row["messages"]] for one in conversations]  # type: ignore[attr-defined]


def test_a_chat_of_whatsapp() -> None:
    assert said(whatsapp(ANDROID)) == [
        [("user", "Ann", "Are you there?\nIt is late: I know."), ("assistant", "Bob", "Yes.")],
        [("assistant", "Bob", "Good morning"), ("user", "Ann", "Morning!")],
    ]
    assert said(whatsapp(IPHONE)) == [[("user", "Ann", "Happy new year"), ("assistant", "Bob", "And to you")]]
    assert said(whatsapp(BRAZIL)) == [[("user", "Ana", "oi")], [("assistant", "Bia", "olá")]]
    second = whatsapp(ANDROID)[1]  # type: ignore[index]
    assert ANDROID[second.start :].startswith("12/31/23, 8:01")


def test_a_group_has_its_names_for_roles() -> None:
    text = ANDROID + "12/31/23, 8:03 AM - Cy: Me too\n"
    assert {role for one in said(whatsapp(text)) for role, _, _ in one} == {"Ann", "Bob", "Cy"}


@pytest.mark.parametrize(
    "text",
    [
        "Once upon a time.\n12/30/23, 9:15 PM - Ann: Are you there?\n12/30/23, 9:16 PM - Bob: Yes\n",
        "[2023-12-31 21:15:07] production.ERROR: x\n[2023-12-31 21:15:08] production.ERROR: y\n",
        "2023-12-31 21:15:07,123 - root - INFO - x: y\n" * 3,
        "2023-12-31 21:15:07 - root: x\n" * 3,
        '{"messages": []}',
        "",
    ],
)
def test_what_is_no_chat_of_whatsapp(text: str) -> None:
    if "production" in text:  # brackets are enough: a log reads like a chat of one
        assert whatsapp(text) is not None
    else:
        assert whatsapp(text) is None


def telegram(**chat: object) -> dict[str, object]:
    messages = [
        {"id": 1, "type": "service", "date": "2023-12-31T21:00:00", "actor": "Ann", "action": "phone_call"},
        {"id": 2, "type": "message", "date": "2023-12-31T21:01:00", "from": "Me", "from_id": "user1", "text": "See"},
        {
            "id": 3,
            "type": "message",
            "date": "2023-12-31T21:02:00",
            "from": "Ann",
            "from_id": "user2",
            "text": ["Look at ", {"type": "link", "text": "https://example.org"}, "!"],
        },
        {"id": 4, "type": "message", "date": "2023-12-31T21:03:00", "from": "Ann", "photo": "photos/1.jpg", "text": ""},
        {"id": 5, "type": "message", "date": "2024-01-01T21:03:00", "from": "Ann", "text": "Hello"},
        {"id": 6, "type": "message", "date": "2024-01-01T21:04:00", "from": "Me", "text": "Hi"},
    ]
    return {"name": "Ann", "type": "personal_chat", "id": 7, "messages": messages, **chat}


def test_a_chat_of_telegram_answers_as_its_owner() -> None:
    expected = [
        [("assistant", "Me", "See"), ("user", "Ann", "Look at https://example.org!")],
        [("user", "Ann", "Hello"), ("assistant", "Me", "Hi")],
    ]
    assert said(exported(telegram())) == expected
    whole = {"about": "x", "chats": {"about": "y", "list": [telegram(), telegram(name="Group", type="private_group")]}}
    assert said(exported(whole))[:2] == expected
    assert len(said(exported(whole))) == 4


def test_a_channel_of_discord() -> None:
    def message(name: str, content: str, bot: bool = False, kind: str = "Default") -> dict[str, object]:
        author = {"id": name, "name": name.lower(), "nickname": name, "isBot": bot}
        return {
            "id": "1",
            "type": kind,
            "timestamp": "2023-12-31T21:15:00.123+00:00",
            "content": content,
            "author": author,
        }

    messages = [
        message("Bot", "Welcome", True),
        message("Ann", "Hi", kind="Reply"),
        message("Ann", "", kind="Call"),
        message("Bot", "Yes?", True),
    ]
    content = {"guild": {"id": "0"}, "channel": {"type": "DirectTextChat", "name": "x"}, "messages": messages}
    assert said(exported(content)) == [
        [("assistant", "Bot", "Welcome"), ("user", "Ann", "Hi"), ("assistant", "Bot", "Yes?")]
    ]
    direct = {**content, "channel": {"name": "Bob"}, "messages": [message("Me", "Hi"), message("Bob", "Hello")]}
    assert said(exported(direct)) == [[("assistant", "Me", "Hi"), ("user", "Bob", "Hello")]]


def test_other_json_is_no_export() -> None:
    for content in (
        {"messages": [{"role": "user", "content": "x"}]},
        {"chats": []},
        [],
        {"type": "x", "id": 1, "messages": [{}]},
    ):
        assert exported(content) is None


def test_an_export_is_a_table_of_conversations(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(telegram()))
    assert len(list(read_rows(tmp_path / "result.json", "result.json", nested=True))) == 2
    assert len(list(read_rows(tmp_path / "result.json", "result.json"))) == 6
