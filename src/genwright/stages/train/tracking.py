"""Experiment trackers as listeners: every record of metrics.jsonl goes to the one that `train.track` names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from genwright.errors import RequestError
from genwright.training.base import Listener

_CLOSE = Callable[[], Any]


@contextmanager
def tracker(kind: str, folder: Path, run: str, part: str, settings: dict[str, Any]) -> Iterator[list[Listener]]:
    """The listeners of a tracker, none for "none". `folder` is where a local one keeps its files.

    Raises RequestError when the tracker's package is not installed.
    """
    if kind == "none":
        yield []
        return
    listener, close = _OPEN[kind](folder, run, part, settings)
    try:
        yield [listener]
    finally:
        close()


def numbers(record: dict[str, Any]) -> dict[str, float]:
    """What of a record a tracker can draw."""
    return {name: float(value) for name, value in record.items() if name != "step" and isinstance(value, int | float)}


def _package(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise RequestError(
            f"train.track: {extra} is not installed; install it with `pip install 'genwright[{extra}]'` or set train.track=none."
        ) from error


def _tensorboard(folder: Path, run: str, part: str, settings: dict[str, Any]) -> tuple[Listener, _CLOSE]:
    _package("tensorboard", "tensorboard")
    writer = import_module("torch.utils.tensorboard").SummaryWriter(str(folder / "tensorboard"))

    def listen(record: dict[str, Any]) -> None:
        for name, value in numbers(record).items():
            writer.add_scalar(name, value, record["step"])

    return listen, writer.close


def _mlflow(folder: Path, run: str, part: str, settings: dict[str, Any]) -> tuple[Listener, _CLOSE]:
    mlflow = _package("mlflow", "mlflow")
    mlflow.set_experiment("genwright")
    mlflow.start_run(run_name=f"{run}/{part}")
    mlflow.log_params(settings)

    def listen(record: dict[str, Any]) -> None:
        mlflow.log_metrics(numbers(record), step=record["step"])

    return listen, mlflow.end_run


def _wandb(folder: Path, run: str, part: str, settings: dict[str, Any]) -> tuple[Listener, _CLOSE]:
    return _like_wandb(_package("wandb", "wandb"), run, part, settings)


def _trackio(folder: Path, run: str, part: str, settings: dict[str, Any]) -> tuple[Listener, _CLOSE]:
    return _like_wandb(_package("trackio", "trackio"), run, part, settings)


def _like_wandb(package: Any, run: str, part: str, settings: dict[str, Any]) -> tuple[Listener, _CLOSE]:
    opened = package.init(project="genwright", name=f"{run}/{part}", config=settings)

    def listen(record: dict[str, Any]) -> None:
        opened.log(numbers(record), step=record["step"])

    return listen, opened.finish


_OPEN = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb, "trackio": _trackio}
