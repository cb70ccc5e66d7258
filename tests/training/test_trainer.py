"""The one loop, on a family of two phases that is small enough to follow."""

from __future__ import annotations

import ast
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from genwright.errors import RequestError, WorkError
from genwright.families.base import Moment, OptimizerSpec
from genwright.run import read_json_lines
from genwright.seeds import derive_seed
from genwright.training import checkpoint
from genwright.training.base import CLOCK_COLUMNS, Settings, even_steps
from genwright.training.trainer import Trainer
from genwright.training.validation import held_out_loss
from helpers.tiny_family import Lines, Tiny, tiny

CPU = torch.device("cpu")


def trainer(family: Tiny, folder: Path | None = None, looks: bool = True, **settings: Any) -> Trainer:
    chosen = Settings(
        **{"steps": 30, "batch": 8, "checkpoint_every": 10, "validate_times": 5, "previews": 3} | settings
    )
    return Trainer(
        family,
        Lines(),
        chosen,
        CPU,
        folder,
        validate=(lambda step, steps: held_out_loss(family, Lines(), 64, chosen, CPU, step, steps)) if looks else None,
        preview=lambda stem: stem.with_suffix(".txt").write_text(str(weights(family)["offset.bias"].tolist())),
    )


def weights(family: Tiny) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in checkpoint.weights_of(family.modules).items()}


def unclocked(folder: Path) -> list[dict[str, Any]]:
    records = read_json_lines(folder / "metrics.jsonl")
    return [{key: value for key, value in record.items() if key not in CLOCK_COLUMNS} for record in records]


def test_it_learns(tmp_path: Path) -> None:
    family = tiny(noise=0.0)
    before = held_out_loss(family, Lines(), 64, Settings(steps=1, batch=8), CPU, 0, 1)
    outcome = trainer(family, tmp_path, steps=200, patience=0).run()
    assert before is not None and outcome.best_loss is not None
    assert outcome.best_loss < 0.2 * before["loss"]
    assert outcome.steps == 200 and outcome.examples == 1600 and outcome.weight == 1600


def test_phases_run_as_often_as_they_say_and_train_only_their_modules() -> None:
    family = tiny()
    first = trainer(family)
    frozen, offset = weights(family)["reference.weight"], weights(family)["offset.weight"]
    first.take_step()  # both phases
    assert family.calls == 2
    after = weights(family)
    assert not torch.equal(after["offset.weight"], offset)
    first.take_step()  # the first phase alone
    assert family.calls == 3
    assert torch.equal(weights(family)["offset.weight"], after["offset.weight"])
    assert torch.equal(weights(family)["reference.weight"], frozen)


def test_only_the_phase_at_work_requires_gradients() -> None:
    family = tiny()
    seen: list[tuple[str, set[str]]] = []
    loss = family.loss

    def watching(phase: str, batch: Any, rng: torch.Generator, at: Moment) -> Any:
        seen.append((phase, {name for name, p in family.modules.named_parameters() if p.requires_grad}))
        return loss(phase, batch, rng, at)

    family.loss = watching  # type: ignore[method-assign]
    trainer(family).take_step()
    assert seen == [("first", {"slope.1.weight"}), ("second", {"offset.weight", "offset.bias"})]


@pytest.mark.parametrize("accumulate", [2, 3, 5, 8])
def test_ragged_accumulation_equals_one_big_batch(accumulate: int) -> None:
    """Without noise, dropout and batch statistics, which see the micro-batch, the gradient is the same but for rounding."""
    whole, cut = tiny(noise=0.0), tiny(noise=0.0)
    for family in (whole, cut):
        family.modules["slope"] = torch.nn.Linear(4, 4, bias=False)
        torch.nn.init.eye_(family.modules["slope"].weight)
    one, many = trainer(whole), trainer(cut, accumulate=accumulate)
    assert sum(many.settings.micro_batches()) == 8
    for _ in range(3):
        one.take_step()
        many.take_step()
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(cut)[name], value, rtol=1e-5, atol=1e-6)


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = tiny()
    trainer(whole, tmp_path / "whole", patience=0).run()
    for stop_after in (13, 20):  # between two checkpoints, and just after one
        stopped = trainer(tiny(), tmp_path / "cut", patience=0)
        steps = stopped.take_step

        def stopping(stopped: Trainer = stopped, steps: Callable[[], None] = steps, at: int = stop_after) -> None:
            steps()
            if stopped.step > at:
                raise KeyboardInterrupt

        stopped.take_step = stopping  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            stopped.run()
    resumed = tiny()
    trainer(resumed, tmp_path / "cut", patience=0).run()
    assert resumed.calls == whole.calls
    for name, value in weights(whole).items():
        assert torch.equal(weights(resumed)[name], value), name
    assert unclocked(tmp_path / "whole") == unclocked(tmp_path / "cut")
    for kind in ("best", "previews"):
        names = sorted(place.name for place in (tmp_path / "whole" / kind).iterdir())
        assert names == sorted(place.name for place in (tmp_path / "cut" / kind).iterdir())


def test_a_torn_checkpoint_is_passed_over_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tiny()
    trainer(whole, tmp_path, patience=0).run()
    newest, before = checkpoint.all_in(tmp_path / "checkpoints")[:2]
    torn = newest / "state.safetensors"
    os.truncate(torn, torn.stat().st_size // 2)
    again = tiny()
    resumed = trainer(again, tmp_path, patience=0)
    resumed.run()
    said = capsys.readouterr().err
    assert f"warning: {newest}" in said and "state.safetensors" in said
    assert before.name == "step-00000020"
    for name, value in weights(whole).items():
        assert torch.equal(weights(again)[name], value), name


def test_without_any_whole_checkpoint_it_begins_anew(tmp_path: Path) -> None:
    trainer(tiny(), tmp_path, patience=0).run()
    for place in checkpoint.all_in(tmp_path / "checkpoints"):
        (place / checkpoint.MANIFEST).unlink()
    again = trainer(tiny(), tmp_path, patience=0)
    again.run()
    assert [record["step"] for record in unclocked(tmp_path)] == list(range(1, 31))


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    trainer(tiny(), tmp_path).run()
    other = trainer(tiny(), tmp_path, steps=40)
    other.recipe_hash = "another"
    with pytest.raises(RequestError, match="--fresh"):
        other.run()


def test_frozen_weights_must_be_the_same_again(tmp_path: Path) -> None:
    trainer(tiny(), tmp_path).run()
    family = tiny()
    with torch.no_grad():
        family.modules["reference"].weight.add_(1)  # type: ignore[operator]
    with pytest.raises(RequestError, match="frozen"):
        trainer(family, tmp_path, steps=40).run()


def test_not_a_number_stops_with_the_step_and_advice(tmp_path: Path) -> None:
    family = tiny()
    family.break_at = 20  # three losses in two steps: the twentieth is the first phase's at step 13
    with pytest.raises(WorkError, match=r"step 13 .*last good checkpoint is .*step-00000010.*learning_rate"):
        trainer(family, tmp_path, log_every=10).run()
    assert [place.name for place in checkpoint.all_in(tmp_path / "checkpoints")] == ["step-00000010"]


def test_a_loss_that_grows_without_bound_stops_the_training() -> None:
    family = tiny(noise=0.0, spec=OptimizerSpec(learning_rate=300.0, clip_norm=None, warmup=0.0))
    with pytest.raises(WorkError, match=r"the loss of `\w+` grew to"):
        trainer(family, steps=200, looks=False).run()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tiny()
    trainer(whole, tmp_path / "whole", steps=20, patience=0).run()
    family = tiny()
    interrupted = trainer(family, tmp_path / "cut", steps=20, patience=0)
    interrupted.how_to_go_on = "run `genwright train x.yaml`"
    steps = interrupted.take_step

    def signalled() -> None:
        steps()
        if interrupted.step == 7:
            os.kill(os.getpid(), number)
            said.append(capsys.readouterr().err)  # at once, not when the step is over

    said: list[str] = []
    interrupted.take_step = signalled  # type: ignore[method-assign]
    before = signal.getsignal(number)
    with pytest.raises(WorkError, match=rf"{number.name} at step 7 of 20.*genwright train x.yaml"):
        interrupted.run()
    assert signal.getsignal(number) is before
    assert f"{number.name}, stops when this step is done" in said[0]
    assert checkpoint.all_in(tmp_path / "cut" / "checkpoints")[0].name == "step-00000007"
    resumed = tiny()
    trainer(resumed, tmp_path / "cut", steps=20, patience=0).run()
    for name, value in weights(whole).items():
        assert torch.equal(weights(resumed)[name], value), name


def test_two_trainings_in_one_folder_refuse_each_other(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock"):
        second: list[BaseException] = []

        def run() -> None:
            try:
                trainer(tiny(), tmp_path).run()
            except RequestError as error:
                second.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len(second) == 1 and "another training" in str(second[0])


def test_it_stops_early_and_keeps_the_best(tmp_path: Path) -> None:
    family = tiny()
    losses = iter([3.0, 2.0, 2.5, 2.6, 1.0])
    stopped = trainer(family, tmp_path, steps=250, validate_times=5, patience=2)
    stopped.validate = lambda step, steps: {"loss": next(losses)}
    outcome = stopped.run()
    assert outcome.stopped_early and outcome.steps == 200
    assert outcome.best_step == 100 and outcome.best_loss == 2.0
    assert [place.name for place in (tmp_path / "best").iterdir()] == ["step-00000100"]
    assert trainer(tiny(), tmp_path, steps=250, validate_times=5, patience=2).run().steps == 200  # and stays stopped


def test_a_short_training_is_not_stopped_by_chance(tmp_path: Path) -> None:
    """Twenty measurements of twenty steps: five without a lower loss are five steps, which say nothing."""
    rising = trainer(tiny(), tmp_path, steps=20, validate_times=20, patience=5)
    losses = iter(range(20))
    rising.validate = lambda step, steps: {"loss": float(next(losses))}
    outcome = rising.run()
    assert not outcome.stopped_early and (outcome.steps, outcome.best_step) == (20, 1)
    settings = rising.settings
    assert settings.lost_patience(101, 1, 5) and not settings.lost_patience(100, 1, 99)
    assert not settings.lost_patience(500, 1, 4)
    assert not settings.model_copy(update={"patience": 0}).lost_patience(500, 1, 400)


def test_a_larger_budget_goes_on_after_an_early_stop(tmp_path: Path) -> None:
    stopped = trainer(tiny(), tmp_path, steps=500, validate_times=5, patience=1)
    losses = iter([1.0, 2.0])
    stopped.validate = lambda step, steps: {"loss": next(losses)}
    assert stopped.run().steps == 200
    assert trainer(tiny(), tmp_path, steps=510, validate_times=2, patience=1).run().steps == 510


def test_without_a_held_out_loss_the_last_average_is_kept(tmp_path: Path) -> None:
    family = tiny(held_out=False)
    trained = trainer(family, tmp_path)
    outcome = trained.run()
    assert outcome.best_step == 30 and outcome.best_loss is None
    kept, _ = checkpoint.read(tmp_path / "best" / "step-00000030")
    assert torch.equal(kept["slope.1.weight"], trained.averages["first"].state_dict()["slope.1.weight"])
    assert not torch.equal(kept["slope.1.weight"], weights(family)["slope.1.weight"])


def test_without_a_held_out_loss_training_on_gives_the_newer_weights(tmp_path: Path) -> None:
    trainer(tiny(held_out=False), tmp_path).run()
    outcome = trainer(tiny(held_out=False), tmp_path, steps=40).run()
    assert outcome.best_step == 40
    assert [place.name for place in (tmp_path / "best").iterdir() if place.name == "step-00000040"]
    assert checkpoint.newest(tmp_path / "checkpoints")[2]["best"]["step"] == 40  # type: ignore[index]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    """Validation and previews, which draw numbers of their own, leave the training as it is."""
    seen, blind = tiny(), tiny()
    looking = trainer(seen, tmp_path, patience=0)
    looking.preview = lambda stem: torch.rand(100)
    looking.run()
    trainer(blind, looks=False, previews=0).run()
    for name, value in weights(blind).items():
        assert torch.equal(weights(seen)[name], value), name


def test_how_often_is_logged_changes_nothing() -> None:
    often, seldom = tiny(), tiny()
    trainer(often, log_every=1).run()
    trainer(seldom, log_every=30).run()
    for name, value in weights(often).items():
        assert torch.equal(weights(seldom)[name], value), name


def test_records_are_means_over_what_was_weighted(tmp_path: Path) -> None:
    trainer(tiny(), tmp_path / "each", log_every=1, looks=False).run()
    trainer(tiny(), tmp_path / "ten", log_every=10, looks=False, previews=0, validate_times=0).run()
    each, ten = unclocked(tmp_path / "each"), unclocked(tmp_path / "ten")
    assert [record["step"] for record in ten] == [10, 20, 30]
    mean = sum(record["first/loss"] for record in each[:10]) / 10
    assert ten[0]["first/loss"] == pytest.approx(mean, rel=1e-5)
    assert set(json.loads((tmp_path / "ten" / "metrics.jsonl").read_text().splitlines()[0])) - {"data_wait"} == {
        "step", "examples", "weight", "first/loss", "first/error", "first/grad_norm",
        "second/loss", "second/error", "second/grad_norm", "seconds", "items_per_second",
    }  # fmt: skip


def test_even_steps_end_at_the_last() -> None:
    assert even_steps(100, 4) == {25, 50, 75, 100}
    assert even_steps(3, 5) == {1, 2, 3}
    assert even_steps(10, 0) == frozenset()


def test_seeds_are_functions_of_their_path() -> None:
    assert derive_seed(0, "model", 1) == derive_seed(0, "model", 1)
    assert len({derive_seed(seed, part, step) for seed in range(3) for part in "ab" for step in range(50)}) == 300


def test_the_trainer_knows_no_family_and_no_task() -> None:
    import genwright.training

    allowed = ("genwright.families.base", "genwright.training", "genwright.networks.roles")
    beside = (
        "genwright.console",
        "genwright.hardware",
        "genwright.errors",
        "genwright.recipe",
        "genwright.run",
        "genwright.seeds",
    )
    for file in Path(str(genwright.training.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name.startswith("genwright."):
                    assert name.startswith(allowed + beside), f"{file.name} imports {name}"
    assert len((Path(str(genwright.training.__file__)).parent / "trainer.py").read_text().splitlines()) <= 300


def test_what_no_phase_trains_stays_as_it_is(tmp_path: Path) -> None:
    """Its buffers too: a checkpoint holds only its hash."""
    family = tiny()
    family.phases = family.phases[1:]  # `slope`, which has a batch norm and dropout, is used and trained by none
    before = {name: value.clone() for name, value in family.modules["slope"].state_dict().items()}
    trainer(family, tmp_path, steps=8).run()
    after = family.modules["slope"].state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not family.modules["slope"].training
