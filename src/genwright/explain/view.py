"""`genwright explain RUN --nearest`: the nearest training documents for people, or as JSON, each with where it comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from genwright import recipe as recipes
from genwright.console import count
from genwright.errors import RequestError
from genwright.explain.corpus import open_corpus
from genwright.explain.nearest import Found, Neighbour, check, nearest
from genwright.files import printable
from genwright.ledger import LEDGER
from genwright.registry import about
from genwright.run import Run, is_run_or_model, named

_COLUMNS = ["id", "source", "path", "row", "licence", "notice", "start", "stop"]
_OTHERS = 5
"""How many other documents with the same run are named."""
_FROM = 0.1
"""Nearest documents below this similarity share no more than chance and common phrases would."""


def explain_nearest(folder: Path, passage: str | None, file: Path | None, n: int, as_json: bool) -> None:
    """Print the `n` nearest documents, or pictures where those were learned. Raises RequestError when the run, the passage or the
    picture can't be used."""
    folder = named(folder)
    if _draws(Run(folder)):
        _explain_picture(Run(folder), passage, file, n, as_json)
        return
    text = _passage(passage, file)
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where the name is too long
        raise RequestError(f"{folder}: no such folder; name a run, like runs/demo-write.")
    check(text)
    run = Run(folder)
    found = nearest(open_corpus(run), text, n)
    wanted = [i for one in found.neighbours for i in (one.item, *one.same_run_in[:_OTHERS])]
    items = _items(run, wanted)
    if as_json:
        print(json.dumps(_as_json(run, text, found, items), ensure_ascii=False, indent=2))
    else:
        _show(text, found, items)


def _draws(run: Run) -> bool:
    """Whether what was learned is pictures, prepared here, that can be told apart."""
    if not is_run_or_model(run.folder) or run.record("prepare") is None:
        return False
    told = about(recipes.load(run.recipe).task)
    return told.traceable and told.medium == "image"


def _explain_picture(run: Run, passage: str | None, file: Path | None, n: int, as_json: bool) -> None:
    from genwright.explain.pictures import nearest_pictures, write_sheet

    asked = file or (Path(passage) if passage else None)
    if asked is None or (file is None and not os.path.isfile(asked)):  # noqa: PTH113 - a passage may be too long to be a name
        raise RequestError(
            f"{run.folder}: learned from pictures; say which is to be explained, by `--nearest-file FILE`."
        )
    found = nearest_pictures(run, asked, n)
    items = _items(run, [near.item for near in found.near])
    place = write_sheet(run, asked, found, [_named(items.get(near.item, {})) for near in found.near])
    if as_json:
        near = [{**items.get(one.item, {}), "item": one.item, "distance": one.distance} for one in found.near]
        told = {"run": str(run.folder), "picture": str(asked), "sheet": str(place), "pictures": found.pictures}
        print(json.dumps({**told, "searched": found.searched, "nearest": near}, ensure_ascii=False, indent=2))
        return
    for rank, one in enumerate(found.near, start=1):
        row = items.get(one.item, {})
        print(f"{rank}. {_named(row)}  {row.get('licence') or 'licence unknown'}  distance {one.distance:.1f}")
    first = (
        "" if found.searched == found.pictures else f", of which the {found.searched:,} nearest by pixels were compared"
    )
    print(
        f"Searched {found.pictures:,} training pictures{first}. At distance 0 a picture would be the same, as far as the features tell."
    )
    print(place)


def _passage(passage: str | None, file: Path | None) -> str:
    if (passage is None) == (file is None):
        raise RequestError("explain: say what is to be explained, by `--nearest TEXT` or `--nearest-file FILE`.")
    if file is None:
        return passage or ""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise RequestError(f"--nearest-file {file}: can't be read ({why}); name a text file.") from error


def _items(run: Run, ids: list[str]) -> dict[str, dict[str, Any]]:
    """The ledger's rows of some items, without reading the others."""
    import pyarrow.parquet as pq

    file = run.stage("collect") / LEDGER
    table = pq.read_table(file, columns=_COLUMNS, filters=[("id", "in", ids)] if ids else None)
    return {row["id"]: row for row in table.to_pylist()} if ids else {}


def _as_json(run: Run, text: str, found: Found, items: dict[str, dict[str, Any]]) -> dict[str, Any]:
    neighbours = [
        {
            **{name: value for name, value in items.get(one.item, {}).items() if name != "id"},
            **one.model_dump(exclude={"same_run_in"}),
            "same_run_in": [{"item": i, **_place(items, i)} for i in one.same_run_in[:_OTHERS]],
            "same_run_in_documents": len(one.same_run_in),
        }
        for one in found.neighbours
    ]
    return {"run": str(run.folder), "passage": text, **found.model_dump(exclude={"neighbours"}), "nearest": neighbours}


def _place(items: dict[str, dict[str, Any]], item: str) -> dict[str, Any]:
    row = items.get(item, {})
    return {name: row.get(name) for name in ("source", "path", "row", "licence")}


def _show(text: str, found: Found, items: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    searched = f"{count(found.documents, 'training document')}, {count(found.characters, 'character')}"
    if not found.neighbours:
        console.print(Text(f"Nothing of it stands in the {searched}: not even 2 characters in a row."))
        return
    for rank, one in enumerate(found.neighbours, start=1):
        row = items.get(one.item, {})
        console.print(
            Text.assemble((f"{rank}. ", "bold"), (_named(row), "bold"), f"  {row.get('licence') or 'licence unknown'}")
        )
        console.print(
            Text(
                f"   similarity {one.similarity:.2f}: {one.shared:.0%} of the passage's runs of {found.window} characters stand in it"
            )
        )
        console.print(Text(f"   longest shared run, {one.run.length} characters:"))
        console.print(_marked(one))
        if one.same_run_in:
            named = ", ".join(_named(items.get(i, {})) for i in one.same_run_in[:_OTHERS])
            more = ", ..." if len(one.same_run_in) > _OTHERS else ""
            others = count(len(one.same_run_in), "more document")
            console.print(Text(f"   the same run stands in {others}: {named}{more}"))
        console.print()
    best = found.neighbours[0]
    start, stop = best.run.passage_start, best.run.passage_start + best.run.length
    console.print(Text("The passage, with its longest shared run marked:"))
    console.print(Text.assemble("   ", text[:start], (f"⟦{text[start:stop]}⟧", "bold"), text[stop:]))
    if best.similarity < _FROM:
        console.print(Text(f"No document is near: a similarity below {_FROM} is what common phrases give."))
    console.print(Text(f"Searched {searched}."))


def _marked(one: Neighbour) -> Any:
    from rich.text import Text

    before, after = one.run.before.replace("\n", " / "), one.run.after.replace("\n", " / ")
    return Text.assemble("   ...", (before, "dim"), (f"⟦{one.run.text}⟧", "bold"), (after, "dim"), "...")


def _named(row: dict[str, Any]) -> str:
    if not row:
        return "(no longer in the ledger)"
    number = f" row {row['row']}" if row["row"] is not None else ""
    span = f" characters {row['start']:,} to {row['stop']:,}" if row["start"] is not None else ""
    return printable(f"{row['source']}  {row['path']}{number}{span}")
