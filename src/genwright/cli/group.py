"""How the list of commands is shown: in the order in which they are met, the stages in a panel of their own, no line cut short."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from genwright.run import STAGES

_FIRST = ("new", "plan", "run", "generate", "chat", "explain", "compare", "ledger", "runs", "doctor")
_WHOLE = 1000
"""Characters of a line of help, which is wrapped and not cut."""


class Panels(TyperGroup):
    """The commands of a user's way, then the stages."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*_FIRST, *STAGES]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, names in (("Commands", _FIRST), ("The stages of `run`, one at a time", STAGES)):
            with formatter.section(title):
                formatter.write_dl([(name.ljust(8), self.commands[name].get_short_help_str(_WHOLE)) for name in names])
