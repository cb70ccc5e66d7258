"""The one training loop: any family, one part, by phases.

For each phase, for each micro-batch that the phase draws: loss * weight, backward; then the phase's optimizers step, divided
by the total weight. Where the memory is too small for that, the turn is taken again in smaller micro-batches. Everything a step does
follows from its number, so a training that was killed goes on bit for bit from its newest checkpoint. The trainer never asks which
family it has.

<folder>/
  metrics.jsonl              a JSON object for each logged step
  checkpoints/step-00000120/ what a resumed training needs
  best/step-00000100/        the weights (averaged, where there is an average) with the lowest held-out loss, or the last
  previews/step-00000050.*
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwright.console import Line, progress
from genwright.errors import WorkError
from genwright.families.base import Family, Moment, Phase, Readies
from genwright.run import only_writer
from genwright.seeds import derive_seed
from genwright.training import checkpoint, compilation, messages, phases, precision, saving
from genwright.training.base import Batches, Listener, Outcome, Preview, Progress, Settings, Validate
from genwright.training.interrupts import Interrupts
from genwright.training.journal import Broken, Journal, Window
from genwright.training.micro_batches import Cut, MicroBatches
from genwright.training.optimizers import Ema, PhaseOptimizer, TensorState, swapped_in, trained_parameters
from genwright.training.pace import Expected, Pace, Revision
from genwright.training.schedule import rate_scale
from genwright.training.stream import Stream

_SHOW_EVERY_S = 0.2


class Trainer:
    """One part's training. Without a `folder` it leaves no trace: no checkpoints, no metrics (judges, rehearsals)."""

    def __init__(
        self,
        family: Family,
        batches: Batches,
        settings: Settings,
        device: torch.device,
        folder: Path | None = None,
        *,
        validate: Validate | None = None,
        preview: Preview | None = None,
        listeners: Sequence[Listener] = (),
        recipe_hash: str = "",
        data_hash: str = "",
        title: str | None = None,
        how_to_go_on: str = "run the same command again",
        expected: Expected | None = None,
        revision: Revision | None = None,
        write_revision: Callable[[Revision], None] = lambda revision: None,
        cuts: Sequence[Cut] = (),
        write_cut: Callable[[Cut], None] = lambda cut: None,
    ):
        self.family, self.settings, self.device, self.folder = family, settings, device, folder
        self.validate, self.preview, self.listeners = validate, preview, listeners
        self.recipe_hash, self.data_hash, self.how_to_go_on = recipe_hash, data_hash, how_to_go_on
        self.title = title or f"train {settings.part}"
        self.pace, self.revision, self.write_revision = Pace(expected), revision, write_revision
        compilation.checkpoint_activations(family.modules.to(device).eval(), settings.checkpoint_activations)
        self.networks = phases.trained_networks(family).train()  # what no phase trains stays as it is, buffers too
        self.still = phases.not_trained(self.networks)
        self.frozen = saving.frozen_hashes(family, self.networks, self.still) if folder else {}
        self._make_optimizers()
        self.stream = Stream(batches, device, family.ready) if isinstance(family, Readies) else Stream(batches, device)
        self.micro_batches = MicroBatches(self, cuts, write_cut)
        self.window = Window()
        self.journal = Journal(folder / "metrics.jsonl") if folder else None
        self.progress = Progress(phases.laid_out(family.phases, settings.steps))
        self.weight = torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        self.broken = Broken(device)
        self.last: dict[str, float] = {}
        torch.manual_seed(derive_seed(settings.seed, settings.part, "global"))
        if settings.compile:
            compilation.apply(self.networks, device)

    def _make_optimizers(self) -> None:
        modules = self.family.modules
        self.optimizers: dict[str, PhaseOptimizer] = {}
        self.averages: dict[str, Ema] = {}
        self.scaling: dict[str, precision.Scaling] = {}
        for phase in self.family.phases:
            spec, networks = self.settings.overriding(phase.optimizer), {name: modules[name] for name in phase.trains}
            self.optimizers[phase.name] = PhaseOptimizer(spec, trained_parameters(networks))
            if self.settings.precision == "fp16":
                self.scaling[phase.name] = precision.Scaling(self.device)
            if spec.ema_halflife is not None:
                self.averages[phase.name] = Ema(networks, spec.ema_halflife)
        modules.requires_grad_(False)  # until a phase asks for its own

    @property
    def step(self) -> int:
        return self.progress.step

    def run(self) -> Outcome:
        """Train to the last step, from the newest checkpoint where there is one. Raises WorkError when it must stop before."""
        told = "another training is writing here"
        alone = only_writer(self.folder, told) if self.folder else contextlib.nullcontext()
        with alone, Interrupts(self.title) as interrupts, contextlib.closing(self.stream):
            saving.resume(self)
            self._began = time.monotonic() - self.progress.seconds
            left = self.pace.left(self.step, self.settings.steps) if self.pace.expected else None
            with progress(self.title, self.settings.steps, left) as line:
                self._loop(interrupts, line)
            if self.folder and self.progress.best["loss"] is None and self.progress.best["step"] != self.step:
                # Where no held-out loss tells weights apart, the last ones count.
                self.progress.best = {"step": self.step, "loss": None, "stale": 0}
                with self.shown():
                    saving.keep_best(self)
                saving.save(self)
        return self.outcome()

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint must hold of the trained modules."""
        return checkpoint.weights_of(self.networks, self.still)

    def finish(self) -> None:
        """Leave the averaged weights in the modules, in evaluation mode."""
        for name, average in self._standing_averages().items():
            self.networks[name].load_state_dict(average, strict=False)
        self.family.modules.eval().requires_grad_(False)

    def outcome(self) -> Outcome:
        return Outcome.of(self.progress, self.settings, float(self.weight))

    def _loop(self, interrupts: Interrupts, line: Line) -> None:
        shown = 0.0
        self._mark = (self.step, time.monotonic())
        self._take_revision()
        while self.step < self.settings.steps and not self.progress.stopped_early:
            self.take_step()
            if self.step in self.settings.look_steps() or self.step % self.settings.log_every == 0:
                self._log()
            due = self.step % self.settings.checkpoint_every == 0 or self.step == self.settings.steps
            if due or interrupts.wanted or self.progress.stopped_early:
                self._save()
            now = time.monotonic()
            self.progress.seconds = now - self._began
            if interrupts.wanted:
                raise WorkError(messages.interrupted(self, interrupts.wanted))
            self.pace.mark(self.step)
            self._take_revision()
            if now - shown > _SHOW_EVERY_S:
                shown = now
                self._revise()
                line.total = self.settings.steps
                line.update(self.step, messages.live(self), self.pace.left(self.step, self.settings.steps))

    def _save(self) -> None:
        if self.folder:
            self._check()
            with self.pace.beside():
                saving.save(self)

    def _revise(self) -> None:
        """Fewer steps from here on, where the clock asks for it (training/pace.py): written down, then done."""
        if self.revision or not self.folder or self.progress.stopped_early:
            return
        decays = {name: optimizer.spec.decay for name, optimizer in self.optimizers.items()}
        fewer = self.pace.revised(self.progress, self.settings.steps, self.family.phases, decays)
        if fewer is not None:
            self.revision = Revision(at=self.step, steps=fewer)
            self.write_revision(self.revision)
            self._take_revision()

    def _take_revision(self) -> None:
        """At the step that it is for, lay the rest out anew, and keep a checkpoint of that before it takes effect."""
        if self.revision is None or self.step != self.revision.at or self.settings.steps == self.revision.steps:
            return
        steps = self.revision.steps
        self.progress.borders = phases.laid_anew(self.family.phases, steps, self.progress.borders, self.step)
        self.settings = self.settings.model_copy(update={"steps": steps})
        self._save()

    def take_step(self) -> None:
        """One step of every phase that is due."""
        spans = self.progress.borders
        at_work = [phase for phase in self.family.phases if spans[phase.name].holds(self.step)]
        for name in (name for name, span in spans.items() if span.begin == self.step):
            self.progress.forget_best()  # those weights lack what this phase teaches
            if name in self.averages:
                self.averages[name].restart()
        for phase in at_work:
            if (self.step - spans[phase.name].begin) % phase.every == 0:
                self._take_phase(phase, counted=phase is at_work[0])
        self.progress.step += 1

    def _take_phase(self, phase: Phase, counted: bool) -> None:
        optimizer, scaling = self.optimizers[phase.name], self.scaling.get(phase.name)
        begin, end = self.progress.borders[phase.name]
        at = Moment(self.step, self.settings.steps, self.step - begin, end - begin, self._average)
        total = torch.zeros((), device=self.device)
        with optimizer.asking():
            for out, weight in self.micro_batches.gradients(phase.name, at, optimizer.zero_grad):
                total += weight
                self._note(phase.name, {"loss": out.value, **out.parts}, weight)
            norm = optimizer.step(rate_scale(at.phase_step, at.phase_steps, optimizer.spec), total, scaling)
            optimizer.zero_grad()
        skipped = {"skipped": (~norm.isfinite()).float()} if scaling else {}
        self._note(phase.name, {"grad_norm": norm, **skipped}, total, count=False)
        if phase.name in self.averages:
            self.averages[phase.name].update(at.phase_step)
        if counted:
            self.weight += total

    def _note(self, phase: str, values: dict[str, Tensor], weight: Tensor, count: bool = True) -> None:
        """Into the journal's means, and whether the first of the values is finite. Where losses are scaled, a step whose is not was left
        out, and that is no harm unless no scale helps."""
        first = next(iter(values.values()))
        if phase in self.scaling:
            values = {name: value.nan_to_num(0.0, 0.0, 0.0) for name, value in values.items()}
            first = torch.where(self.scaling[phase].collapsed, torch.nan, 0.0)
        self.window.add(phase, values, weight, count)
        self.broken.watch(first, self.step + 1)

    def _average(self, module: str) -> TensorState | None:
        return phases.newest_average(module, self.family.phases, self.progress.borders, self.averages, self.step)

    def _standing_averages(self) -> dict[str, TensorState]:
        return phases.standing_averages(self.family.phases, self.progress.borders, self.averages, self.step - 1)

    def _check(self) -> None:
        """Raises WorkError when a loss was not finite: nothing after that is worth keeping."""
        if (step := self.broken.step) is not None:
            raise WorkError(messages.advice(self, step, "a loss or gradient is not a finite number"))

    def _log(self) -> None:
        """Write a record; measure the held-out loss and make a preview where they are due."""
        self._check()
        now = time.monotonic()
        rate = (self.step - self._mark[0]) * self.settings.batch / max(now - self._mark[1], 1e-9)
        waited, self.last = self.stream.waited(now - self._mark[1]), self.window.take()
        counts = {"step": self.step, "examples": self.step * self.settings.batch, "weight": float(self.weight)}
        record: dict[str, Any] = counts | self.last
        messages.check_diverged(self, record)
        with self.pace.beside():
            record |= self._look()
        record |= {"seconds": round(now - self._began, 3), "items_per_second": round(rate, 3)} | waited
        if self.journal:
            self.journal.write(record)
        for listener in self.listeners:
            listener(record)
        self._mark = (self.step, time.monotonic())

    def _look(self) -> dict[str, float]:
        held_out = None
        if self.step in self.settings.validate_steps() and self.validate:
            with self.shown():
                held_out = self.validate(self.step, self.settings.steps)
                if held_out is not None:
                    self._compare(held_out["loss"])
        if self.step in self.settings.preview_steps() and self.preview and self.folder:
            (self.folder / "previews").mkdir(exist_ok=True)
            with self.shown():
                self.preview(self.folder / "previews" / checkpoint.name_of(self.step))
        return {f"validation/{name}": value for name, value in (held_out or {}).items()}

    def _compare(self, loss: float) -> None:
        """Keep the weights when their held-out loss is the lowest so far; stop when it has not been for too long, but not before
        every phase has begun."""
        if not math.isfinite(loss):
            raise WorkError(messages.advice(self, self.step, "the held-out loss is not a finite number"))
        if self.progress.best["loss"] is None or loss < self.progress.best["loss"]:
            self.progress.best = {"step": self.step, "loss": loss, "stale": 0}
            saving.keep_best(self)
            return
        best = self.progress.best = {**self.progress.best, "stale": self.progress.best["stale"] + 1}
        between = max(span.begin for span in self.progress.borders.values()) < self.step < self.settings.steps
        self.progress.stopped_early = between and self.settings.lost_patience(self.step, best["step"], best["stale"])

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """The averages stand in the modules, in evaluation mode; random draws inside change nothing outside."""
        devices = [self.device] if self.device.type == "cuda" else []
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=devices))
            stack.enter_context(torch.no_grad())
            if self.settings.compile:  # other shapes and modes would each cost a compilation of their own
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(swapped_in(self.networks, self._standing_averages()))
            self.family.modules.eval()
            try:
                yield
            finally:
                self.networks.train()
