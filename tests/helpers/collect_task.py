"""What the tests of collect share: a run on a recipe's text, with the real tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genwright import ledger, recipe
from genwright.ledger import Item
from genwright.model_folder import build_task
from genwright.run import Run
from genwright.stages.collect import stage as collect


def collected(run: Run, task: str, sources: list[dict[str, Any]], **options: Any) -> list[Item]:
    """Collect and read the ledger; options are recipe keys with `__` for the dot."""
    loaded = recipe.parse(
        f"task: {task}\ndata: {{sources: []}}\n".replace("[]", str(sources)),
        overrides=[f"{key.replace('__', '.')}={value}" for key, value in options.items()],
    )
    collect.run(loaded, run, task=build_task(loaded))
    return ledger.read_run(run)


def by_path(items: list[Item]) -> dict[str, str]:
    """Path -> reason, or the split of what was kept ("" where it was divided)."""
    return {item.path: item.reason or item.split for item in items}


def write_texts(folder: Path, count: int, start: int = 0, lines: int = 3) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(start, start + count):
        poem = "".join(f"Line {line} of poem {number}, in which the rose is red.\n" for line in range(lines))
        (folder / f"poem-{number:03}.txt").write_text(poem, encoding="utf-8")
