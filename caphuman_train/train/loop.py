"""A training run, from its settings to its last checkpoint."""
from __future__ import annotations

import contextlib
import math
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..step import base as bases
from ..step.compiling import compile_blocks
from ..step.inputs import make_inputs
from ..step.loss import CapFaceStep
from ..step.saving_memory import checkpoint_blocks
from . import checkpoint
from .data import Share, TrainingData, examples_of, open_data, share_out
from .held_out import batch_of, held_out_losses
from .journal import Journal, StepRecord
from .network import DTYPES, make_network, require_device_takes
from .optimizer import RunningMean, learning_rate, make_optimizer
from .pictures import Drawing, draw_samples
from .toml_file import affecting

if TYPE_CHECKING:
    from ..data.batch import Batch
    from .settings import Settings
    from .world import World

Report = Callable[[dict[str, float], int], None]        # an entry of the log and its step


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    step: int                                   # finished
    done: bool                                  # False: stopped by Ctrl-C, to be gone on with


def run_training(settings: Settings, world: World, report: Report | None = None) -> Outcome:
    """Train to the last step, or until somebody stops it; goes on from the run folder's last checkpoint.

    report: called in every process with each entry of the log.
    """
    from caphuman_bench.folder import locked
    folder = Path(settings.run.folder)
    require_device_takes(settings.compute.precision, world.device)
    share = share_out(settings.batch.size, settings.batch.accumulate, world)
    with locked(folder, "train") if world.first else contextlib.nullcontext():
        world.wait()                            # nobody goes on where the folder is taken
        data = open_data(settings)
        training = Training.begin(settings, world, data, share, report)
        try:
            return training.run()
        finally:
            training.journal.close()


class Training:
    """The parts of a run and where it stands."""

    def __init__(self, settings: Settings, world: World, data: TrainingData, share: Share, base: bases.Base, step: CapFaceStep,
                 depends_on: dict[str, Any], report: Report | None) -> None:
        self.settings, self.world, self.data, self.share, self.base, self.step = settings, world, data, share, base, step
        self.folder, self.depends_on, self.report = Path(settings.run.folder), depends_on, report
        self.network = step.network
        self.parameters = list(self.network.parameters())
        self.optimizer = make_optimizer(self.parameters, settings.optimizer)
        self.scaler = torch.amp.grad_scaler.GradScaler(world.device.type, enabled=settings.compute.precision == "fp16")
        keeps_mean = settings.average.decay > 0 and world.first
        self.mean = RunningMean(dict(self.network.named_parameters()), settings.average.decay) if keeps_mean else None
        self.finished = 0                       # steps
        self.saved = -1                         # the step of the last checkpoint
        self.journal: Journal
        self.module: Any = step

    @classmethod
    def begin(cls, settings: Settings, world: World, data: TrainingData, share: Share, report: Report | None) -> Training:
        """Everything built, and put where the last checkpoint stood. What does not fit is refused before the base is loaded."""
        folder = Path(settings.run.folder)
        depends_on = {**affecting(settings), "data": data.learnt.digest, "head model": data.head_model.fingerprint,
                      "base checkpoint": bases.fingerprint_of(Path(settings.start.base))}
        last = checkpoint.latest(folder)
        state = checkpoint.load(last) if last is not None else None
        if state is not None:
            checkpoint.require_same(state.depends_on, depends_on, folder)
        dtype = DTYPES[settings.compute.precision]
        base = bases.load_base(settings.start.base, dtype, settings.compute.text_cache_mb << 20)
        bases.place(base)
        scaled = state is None and (settings.start.scale_hint or settings.start.scale_identity)
        network = make_network(base, settings.start, settings.run.seed, world.device, examples_of(data) if scaled else None)
        step = CapFaceStep(network, base.unet, base.alphas, settings.loss.for_step(), dtype).to(world.device)
        made = cls(settings, world, data, share, base, step, depends_on, report)
        if state is not None:
            made.restore(state)
        made.prepare()
        return made

    def restore(self, state: checkpoint.State) -> None:
        """Stand where a checkpoint stood."""
        self.network.load_state_dict(state.weights)
        checkpoint.restore_optimizer(self.optimizer, state.optimizer)
        if self.mean is not None and state.mean is not None:
            self.mean.weights = {name: value.to(self.world.device) for name, value in state.mean.items()}
        if state.scaler:
            self.scaler.load_state_dict(dict(state.scaler))
        self.finished = self.saved = state.step

    def prepare(self) -> None:
        """What makes steps cheaper or spreads them; none of it changes what they mean."""
        compute, unet = self.settings.compute, self.base.unet
        if compute.channels_last:
            self.network.to(memory_format=torch.channels_last)
            unet.to(memory_format=torch.channels_last)
        if compute.checkpointing:
            checkpoint_blocks(self.network, unet)
        if compute.compile:
            compile_blocks((*self.network.input_blocks, self.network.middle_block, *unet.input_blocks, unet.middle_block,
                            *unet.output_blocks))
        if self.world.size > 1:
            self.module = torch.nn.parallel.DistributedDataParallel(self.step, broadcast_buffers=False,
                                                                    gradient_as_bucket_view=True)
        self.journal = Journal(self.folder, self.world, self.finished, self.settings.run.steps, compute.precision != "fp16")

    # --- the run

    def run(self) -> Outcome:
        """Steps to the end, or to a Ctrl-C, which saves."""
        settings, last = self.settings, self.settings.run.steps
        batches = self.data.batches(self.share, self.finished, last, settings.run.seed, self.world)
        with stop_asked() as asked:
            if self.finished == 0:
                self.look()
            while self.finished < last:
                self.take_step(batches)
                self.look()
                if self.world.any(asked()):
                    break
        self.settle()
        self.save()
        return Outcome(self.finished, self.finished >= last)

    def take_step(self, batches: Iterator[Batch]) -> None:
        """One optimizer step."""
        if self.settings.data.clip_vision:
            bases.place(self.base)              # the tower may have taken its room
        lr = self.lr()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        for part in range(self.share.parts):
            self.take_part(next(batches), part)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.finished += 1
        if self.mean is not None:
            self.mean.follow(dict(self.network.named_parameters()), self.finished)
        self.journal.advance()

    def take_part(self, batch: Batch, part: int) -> None:
        """Gradients of one part of a step; processes exchange them with the last one."""
        loss, last = self.settings.loss, part == self.share.parts - 1
        inputs = make_inputs(batch, self.base.encode_text, self.settings.run.seed, self.finished, self.share.rows(part, self.world),
                             loss.text_dropout, loss.identity_dropout, loss.tau).to(self.world.device)
        alone = contextlib.nullcontext() if last or self.world.size == 1 else self.module.no_sync()
        with alone:
            noise_error, mask_error, closed = self.module(inputs, self.finished < loss.soft_gate_steps)
            total = self.step.total(noise_error, mask_error) / self.share.parts
            self.scaler.scale(total).backward()
        norm = self.clip() if last else None
        below = self.below_eps() if last and (self.finished + 1) % self.settings.log.every == 0 else None
        self.journal.note(StepRecord(self.finished + 1, batch.keys, inputs.timesteps, noise_error.detach(), mask_error.detach(),
                                     closed, norm, below))

    def clip(self) -> torch.Tensor:
        """The gradients' norm over all parameters, [] float32; scaled down to optimizer.clip_norm where that is set."""
        self.scaler.unscale_(self.optimizer)
        return torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.optimizer.clip_norm or math.inf)

    def below_eps(self) -> torch.Tensor:
        """Share of the gradient's numbers smaller than optimizer.eps, [] float32: AdamW hardly moves those weights."""
        found = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        small = torch.stack([(gradient.abs() < self.settings.optimizer.eps).sum() for gradient in found]).sum()
        return small / sum(gradient.numel() for gradient in found)

    def lr(self) -> float:
        """Of the next step."""
        return learning_rate(self.finished, self.settings.run.steps, self.settings.optimizer.lr, self.settings.schedule)

    # --- what is looked at and written between steps

    def look(self) -> None:
        """Whatever is due after the present step."""
        due, log, checkpoints = self._due, self.settings.log, self.settings.checkpoints
        if due(log.every) or due(checkpoints.every):
            self.settle()
        if due(checkpoints.every):
            self.save()
        if due(log.held_out_every, at_start=True):
            self.look_at_held_out()
        if due(log.pictures_every, at_start=True):
            self.draw()

    def _due(self, every: int, at_start: bool = False) -> bool:
        return every > 0 and self.finished % every == 0 and (at_start or self.finished > 0)

    def settle(self) -> None:
        """Look through the losses since the last time, and write an entry."""
        waited = bool(self.journal.waiting)
        self.journal.settle(self.lr())
        if waited and self.report is not None:
            self.report(self.journal.seen, self.finished)

    def save(self) -> None:
        """A checkpoint, by the first process; after `settle`, so that it never holds a NaN."""
        if self.world.first and self.saved != self.finished:
            state = checkpoint.State(
                self.finished, dict(self.network.state_dict()), self.optimizer.state_dict(),
                None if self.mean is None else self.mean.weights, dict(self.scaler.state_dict()), self.depends_on, self.about())
            checkpoint.save(self.folder, state, self.settings.checkpoints.keep, self.settings.checkpoints.keep_every)
        self.saved = self.finished
        self.world.wait()

    def about(self) -> dict[str, Any]:
        """What an exported file tells of the run."""
        manifest = self.data.learnt.manifest
        return {"settings": asdict(self.settings), "base model": self.base.name, "head model": self.data.head_model.name,
                "data": {"settings": dict(manifest.settings), "summary": dict(manifest.summary)}}

    def look_at_held_out(self) -> None:
        """Losses of the weights that would be exported now, on what is kept back."""
        if self.world.first and self.data.held_out is not None:
            with self.exported_weights():
                entry = held_out_losses(self.step, self.data.held_out, self.data.head_model, self.base.encode_text,
                                        self.share.samples, self.world.device)
            self.journal.held_out(entry, self.finished)
        self.world.wait()

    def draw(self) -> None:
        """A grid of pictures; of learnt samples where none are held out."""
        if self.world.first:
            shards, log = self.data.held_out or self.data.learnt, self.settings.log
            batch = batch_of(shards, 0, min(log.pictures, len(shards)), self.data.head_model)
            weights = self.mean.weights if self.mean is not None else dict(self.network.state_dict())
            grid = draw_samples(self.base, weights, batch, Drawing(log.picture_steps, log.picture_cfg))
            self.journal.pictures(grid, self.finished)
            bases.place(self.base)
        self.world.wait()

    @contextlib.contextmanager
    def exported_weights(self) -> Iterator[None]:
        """The running mean in the place of the weights, where there is one."""
        if self.mean is None:
            yield
            return
        kept = checkpoint.to_cpu(self.network.state_dict())
        self.network.load_state_dict(self.mean.weights)
        try:
            yield
        finally:
            self.network.load_state_dict(kept)


@contextlib.contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM are remembered until the step is done; a second Ctrl-C ends at once."""
    asked: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)
        sys.stderr.write("\nstopping after this step; a checkpoint is written (Ctrl-C again: at once, without)\n")
    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):       # not in the main thread, as under Ray: its own stop is used
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, remember)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

