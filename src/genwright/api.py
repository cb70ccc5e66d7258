"""The same from Python: `gw.run("recipe.yaml")` makes a run, `gw.load("runs/x")` opens one; both generate.

Nothing heavy is imported before it is needed: scores and ledger of a run are read without torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from markupsafe import Markup
from pydantic import BaseModel

from genwright import ledger
from genwright.console import Printed, SideBySide, count
from genwright.errors import RequestError
from genwright.media.base import Media
from genwright.request import Blob, checked, opening_class, positional, request_class
from genwright.run import Run, is_run_or_model, is_unfinished, model_folder, named, open_run, task_and_family
from genwright.scores import ScoreSheet
from genwright.stages.start import recipe_and_run

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from genwright.engine.engine import Engine
    from genwright.model import Model
    from genwright.training.forecast import Plan

Overrides = Mapping[str, Any] | Sequence[str]
"""Keys of the recipe with other values: `{"train.budget": "2m"}`, or as the command line has them: `["train.budget=2m"]`."""


class Results(list[Media]):
    """What one request gave, in order. A notebook shows all of it."""

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))

    def _repr_html_(self) -> str:
        cells = (Markup('<div style="margin:0 .8em .8em 0">{}</div>').format(Markup(one._repr_html_())) for one in self)
        return Markup('<div style="display:flex;flex-wrap:wrap">{}</div>').format(Markup("").join(cells))


class Ledger(Printed, list[ledger.Item]):
    """The rows of a ledger: a list of items, which `pandas.DataFrame` takes as it is; `table()` gives pyarrow all of it."""

    def table(self) -> pa.Table:
        """All rows as an Arrow table: `.to_pandas()`, `polars.from_arrow(...)`, `pyarrow.parquet.write_table(...)`."""
        return ledger.table(self)

    @property
    def account(self) -> ledger.Account:
        """Offered, kept, and dropped by reason."""
        return ledger.account(self)

    def __repr__(self) -> str:
        return f"<ledger: {count(self.account.offered, 'item')} offered, {self.account.kept:,} kept>"

    def __rich__(self) -> SideBySide:
        whole = self.account
        rows = [(f"dropped, {name}", [f"{count:,}", ledger.REASONS[name]]) for name, count in whole.dropped.items()]
        return SideBySide(["items", ""], [("offered", [f"{whole.offered:,}", ""]), ("kept", [f"{whole.kept:,}", ""]), *rows])  # fmt: skip


class Generator:
    """A run or a model folder that is open: it generates, and hands out what its stages wrote.

    >>> import genwright as gw
    >>> run = gw.load("runs/recipe")
    >>> run
    <genwright runs/recipe: write by transformer>
    """

    def __init__(self, folder: Path, device: str | None = None, capacity: int | None = None, **opening: Any):
        """`capacity`: requests that are worked on at once. `opening`: fields of the family's `Opening` (weights="int8").

        The weights are read when they are first needed. Raises RequestError where the folder is none of ours, and naming the option
        that is wrong.
        """
        self.folder = named(Path(folder))
        if not is_run_or_model(self.folder):
            model_folder(self.folder)  # says what is wrong
        if capacity is not None and (not isinstance(capacity, int) or capacity < 1):
            raise RequestError(f"`capacity`: must be a whole number, 1 or more (given: {capacity!r}).")
        if opening:
            checked(opening_class(*task_and_family(self.folder)), opening)
        self._device, self._capacity, self._opening = device, capacity, opening

    @cached_property
    def model(self) -> Model:
        """The model in memory. Raises RequestError where the run has none yet, and naming the option that can't be had here."""
        from genwright.hardware import device as devices

        model = _opened(self.folder, devices.choose(self._device))
        model.capacity = model.capacity if self._capacity is None else self._capacity
        model.opening = checked(model.family.Opening, self._opening)
        return model

    @cached_property
    def engine(self) -> Engine:
        from genwright.engine.engine import Engine

        return Engine()

    @overload
    def generate(self, prompt: str | Blob = "", *, stream: Literal[False] = False, **options: Any) -> Results: ...

    @overload
    def generate(self, prompt: str | Blob = "", *, stream: Literal[True], **options: Any) -> Iterator[Media]: ...

    def generate(self, prompt: str | Blob = "", *, stream: bool = False, **options: Any) -> Results | Iterator[Media]:
        """Make something new: a list of `n` results, each text whole; with `stream` the pieces as they come.

        `prompt` is what the command line takes behind the run, a text or a file of the medium that the task works on; `options` are
        the request's other fields (n, seed, temperature, ...), as `genwright generate RUN --help` and docs/recipe.md list them.

        >>> import genwright as gw
        >>> run = gw.load("runs/recipe")
        >>> made = run.generate("To be", n=2, seed=1, max_tokens=20)
        >>> len(made)
        2
        >>> made[0].save("to-be.txt")
        >>> for piece in run.generate("To be", stream=True, seed=1, max_tokens=20):
        ...     assert made[0].text.startswith(piece.text)
        ...     break

        Raises RequestError naming the option that is wrong.
        """
        task, family = task_and_family(self.folder)
        schema = request_class(task, family)
        if prompt != "":
            name = positional(schema)
            if name is None:
                raise RequestError(f"`{task}` takes no prompt; there are {', '.join(schema.model_fields)}.")
            options[name] = prompt
        pieces = self.answer(checked(schema, options))
        return pieces if stream else Results(whole(pieces))

    def answer(self, request: BaseModel) -> Iterator[Media]:
        """Answer a request that was checked (`request.checked`). The one door for command line, Python and server."""
        return self.model.task.answer(self.model, request, self.engine)

    @property
    def scores(self) -> ScoreSheet:
        """The score sheet of the run: `print` and a notebook show it as a table. No weights are read for it.

        >>> import genwright as gw
        >>> sheet = gw.load("runs/recipe").scores
        >>> sheet.row("model").scores["bits_per_byte"].value > 0
        True

        Raises RequestError when it was not evaluated or this is a model folder alone.
        """
        file = self.folder / "evaluate" / "scores.json"
        if not file.exists():
            raise RequestError(f"{self.folder}: no scores here; run `genwright evaluate` on its recipe.")
        return ScoreSheet.read(file)

    def ledger(self) -> Ledger:
        """What became of every item of the data: a list of rows, for pandas or pyarrow too.

        >>> import genwright as gw
        >>> rows = gw.load("runs/recipe").ledger()
        >>> [row.path for row in rows if row.reason == "empty"]
        ['nothing.txt']
        >>> rows.account.kept, rows.table().num_rows == len(rows)
        (1, True)

        Raises RequestError where nothing has been collected, or this is a model folder alone.
        """
        return Ledger(ledger.read_run(open_run(self.folder)))

    def report(self, *, public: bool = False) -> Path:
        """Write report.html, or report-public.html without any training item; where it is.

        >>> import genwright as gw
        >>> gw.load("runs/recipe").report(public=True).name
        'report-public.html'
        """
        from genwright.stages.pipeline import write_report

        return write_report(*recipe_and_run(self.folder, None, None), public=public)

    def export(self, form: str | None = None, *, out: str | Path | None = None, type: str | None = None) -> Path:
        """Write the model for other programs (`form`: hf, gguf, onnx or diffusers), loaded there and compared; without a form model/. Where it is.

        `type`: how weights are stored: f32 (default), f16, q8_0. `out`: the folder; by default in the run.

        >>> import genwright as gw
        >>> gw.load("runs/recipe").export("hf", out="for-transformers")
        PosixPath('for-transformers')
        """
        if form is not None:
            from genwright.exporters.formats import export_as

            return export_as(self.folder, form, None if out is None else Path(out), type)[0]
        if out is not None or type is not None:
            raise RequestError("`out` and `type` belong to a form; name one: hf, gguf, onnx or diffusers.")
        from genwright.stages.pipeline import Options, run_stages

        recipe, made = recipe_and_run(self.folder, None, None)
        run_stages(recipe, made, Options(device=self._device), ["export"])
        return made.stage("export")

    def __repr__(self) -> str:
        return f"<genwright {self.folder}: {self._about()}>"

    def _repr_html_(self) -> str:
        scored = (self.folder / "evaluate" / "scores.json").exists()
        shown = Markup(self.scores._repr_html_()) if scored else Markup("<p>Not scored.</p>")
        return Markup("<p><b>{}</b>: {}</p>{}").format(self.folder, self._about(), shown)

    def _about(self) -> str:
        try:
            return "{} by {}".format(*task_and_family(self.folder))
        except RequestError:
            return "no model yet"


def whole(pieces: Iterable[Media]) -> list[Media]:
    """The outputs that some pieces make up, by their index; what is said of an output with its last piece stays with it."""
    found: dict[int, Media] = {}
    for piece in pieces:
        before = found.get(piece.index)
        found[piece.index] = piece if before is None else replace(piece, data=before.data + piece.data)
    return [found[index] for index in sorted(found)]


def _opened(folder: Path, device: torch.device) -> Model:
    """Of a model folder, or of a run, which may be one that is not finished."""
    if is_unfinished(folder):
        from genwright.stages.train.unfinished import load_newest

        return load_newest(Run(folder), device)
    from genwright import model_folder as models

    return models.load(model_folder(folder), device)


def run(
    recipe: str | Path, *, run_dir: str | Path | None = None, overrides: Overrides | None = None, **options: Any
) -> Generator:
    """See `genwright.run`; `options` are those of `stages.pipeline.Options`."""
    from genwright.stages.pipeline import Options, run_stages

    chosen = Options(**options)
    loaded, made = recipe_and_run(Path(recipe), _set(overrides), Path(run_dir) if run_dir else None)
    run_stages(loaded, made, chosen)
    return Generator(made.folder, chosen.device)


def plan(
    recipe: str | Path, *, run_dir: str | Path | None = None, overrides: Overrides | None = None, **options: Any
) -> Plan:
    """See `genwright.plan`; `options` as in `run`."""
    from genwright.stages.pipeline import Options, plan_run

    chosen = Options(**options)
    return plan_run(*recipe_and_run(Path(recipe), _set(overrides), Path(run_dir) if run_dir else None), chosen)


def load(folder: str | Path, device: str | None = None, **opening: Any) -> Generator:
    """See `genwright.load`; `opening` as in `Generator`."""
    return Generator(Path(folder), device, **opening)


def _set(overrides: Overrides | None) -> list[str] | None:
    """As the command line has them; JSON is YAML."""
    if isinstance(overrides, Mapping):
        return [f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in overrides.items()]
    return None if overrides is None else list(overrides)


__all__ = ["Generator", "Ledger", "Results", "load", "plan", "run"]
