"""What says that a turn counts otherwise than its words alone would: calls of tools, weights, marks of what is not to be learned."""

from __future__ import annotations

from typing import Any

CALLS = (
    "tool_calls",
    "function_call",
    "tool_call",
    "tool_use",
    "refusal",
    "audio",
    "images",
    "image",
    "videos",
    "audios",
)
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_LEARN = ("weight", "loss", "loss_weight", "train", "training", "trainable", "train_on_turn", "learn")
_SKIP = ("mask", "masked", "ignore", "ignored", "skip", "deleted")
_PARTLY = ("train_detail", "loss_mask")


class MalformedError(Exception):
    """Why something is no conversation. `reason` is of the ledger's closed list."""

    def __init__(self, detail: str, reason: str = "malformed"):
        super().__init__(detail)
        self.reason = reason


def check_row(value: dict[str, Any]) -> None:
    """Raises MalformedError where a row says that it counts otherwise than its messages alone would."""
    for key in ("tools", "functions", *CALLS):
        if value.get(key) and value[key] != "[]":
            raise MalformedError(f"`{key}` belong to it, which can't be learned from", "unsupported")
    if value.get("label") is False:
        raise MalformedError("an answer that is marked as a bad one (`label`: false)", "unsupported")
    # A number beside a conversation may measure anything.
    check_turn({key: said for key in (*_LEARN, *_SKIP) if isinstance(said := value.get(key), bool)}, "assistant")


def check_turn(turn: dict[str, Any], role: str) -> None:
    """Raises MalformedError where a turn says that it counts otherwise than its content alone would: a call beside it, a weight."""
    for key in (*CALLS, *_THOUGHTS):
        if turn.get(key):
            raise MalformedError(f"a turn with `{key}`, which can't be learned from", "unsupported")
    for key in _PARTLY:
        if turn.get(key) is not None:
            raise MalformedError(f"a turn of which parts count otherwise (`{key}`)", "unsupported")
    for key in (*_LEARN, *_SKIP):
        mark = turn.get(key)
        if not isinstance(mark, bool | int | float) or (mark not in (0, 1) and "weight" not in key):
            continue
        counts = mark == (key in _LEARN)
        # A weight of 1 on what is not learned anyway is a default; of a reply only what counts fully is learned.
        if (role == "assistant" and not counts) or (role != "assistant" and mark and key in _LEARN and key != "weight"):
            raise MalformedError(
                f"a turn of the {role} with `{key}`: {str(mark).lower()}, which is not learned so", "unsupported"
            )
