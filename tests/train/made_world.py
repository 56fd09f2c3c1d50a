"""What the tests of this folder train with: a narrow base model, drawn shards, run files; and the trainer's command with them.

`python made_world.py train run.toml` is the trainer's command line with the narrow base in the place of a real checkpoint.
"""
from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACK = HERE.parents[1]
GOLDEN = HERE.parent / "golden"
SMALL = {"run.steps": 6, "batch.size": 4, "batch.accumulate": 1, "data.held_out": 3, "data.workers": 0, "compute.precision": "fp32",
         "checkpoints.every": 2, "log.every": 2, "log.held_out_every": 3, "log.pictures_every": 0, "optimizer.lr": 1e-3}


def caption(text):
    """[77, 768] that follows from a text alone, about as large as CLIP's."""
    import torch
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
    return torch.randn(77, 768, generator=torch.Generator().manual_seed(seed))


def to_pictures(latents):
    """Latents [B, 4, h, w] as the sampler leaves them -> pictures [B, 8h, 8w, 3] 0..1, nothing of them cut off."""
    import torch
    colours = latents[:, :3] * 0.18215
    return torch.nn.functional.interpolate(0.5 + colours / (1 + colours.abs()) / 2, scale_factor=8).movedim(1, -1)


def narrow_base(path=None, dtype=None, cache_bytes=1 << 20):
    """SD 1.5 with a tenth of the channels; its weights follow from the named file's bytes."""
    from caphuman_train.host import part
    part()("nodes.capface.base_model").SHAPE["model_channels"] = 32
    from caphuman_train.step import base
    from tools.stand_ins import narrow_nets
    patcher = narrow_nets.base_model()
    unet = patcher.model.diffusion_model
    content = Path(path).read_bytes() if path else b""
    if content.startswith(b"{"):                # a file of weights: a narrow base that was taught something
        from safetensors.torch import load
        unet.load_state_dict(load(Path(path).with_suffix(".weights").read_bytes()))
    captions = base.CaptionCache(caption, cache_bytes)
    return base.Base(patcher, unet, base.alphas_of(patcher.model), "narrow", "", captions, to_pictures)


def use_narrow_base():
    """From here on the trainer finds narrow base models where it looks for checkpoints."""
    from caphuman_train.step import base
    base.load_base = narrow_base
    base.fingerprint_of = lambda path: hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def write_run(folder, shards, **changes):
    """A run.toml with a base file beside it, small unless `changes` (with __ for the dot) say otherwise. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "base.safetensors"
    if not base.exists():
        base.write_bytes(b"narrow")
    values = {"run.folder": str(folder / "run"), "start.base": str(base), "data.shards": str(shards), **SMALL,
              **{key.replace("__", "."): value for key, value in changes.items()}}
    sections: dict = {}
    for name, value in values.items():
        section, key = name.split(".")
        sections.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    path = folder / "run.toml"
    path.write_text("\n".join(line for section, lines in sections.items() for line in (f"[{section}]", *lines, "")))
    return path


def environment(**more):
    """Of child processes: one thread, so that numbers do not depend on how many cores are free."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((str(PACK), str(HERE))), "PYTHONUNBUFFERED": "1",
            **more}


def started(*arguments, launcher=(), **more):
    """A child process with the trainer's command line; more: of its environment."""
    command = [sys.executable, *map(str, launcher), str(HERE / "made_world.py"), *map(str, arguments)]
    return subprocess.Popen(command, text=True, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True)


def train(*arguments, launcher=(), **more):
    """(status, what was said) of a child with the trainer's command line."""
    child = started(*arguments, launcher=launcher, **more)
    said, _ = child.communicate(timeout=570)
    return child.returncode, said


def narrow_work(config):
    """What a Ray worker does, on a narrow base; each start leaves a note of the step it began with."""
    import torch

    from caphuman_train.train import loop, ray_launch
    torch.set_num_threads(1)
    use_narrow_base()
    prepare = loop.Training.prepare

    def noted(self):
        prepare(self)
        if self.world.first:
            (self.folder.parent / "began").mkdir(exist_ok=True)
            (self.folder.parent / "began" / f"step-{self.finished}-{os.getpid()}").touch()
    loop.Training.prepare = noted
    ray_launch.work(config)


def die_as_told():
    """DIE=step:3 kills this process after so many steps, DIE=save:4 while that step's checkpoint is half written; POISON=3
    makes the loss of that step NaN."""
    from caphuman_train.train import checkpoint, loop
    where, _, step = os.environ.get("DIE", "").partition(":")
    take, write = loop.Training.take_step, checkpoint.write_safetensors

    def take_step(self, batches):
        if os.environ.get("POISON") == str(self.finished + 1):
            self.base.alphas.fill_(float("nan"))
            self.step.alphas.fill_(float("nan"))
        take(self, batches)
        if where == "step" and self.finished == int(step):
            os.kill(os.getpid(), signal.SIGKILL)

    def write_half(path, tensors, metadata):
        if where == "save" and metadata["step"] == step:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.1.part").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, tensors, metadata)
    loop.Training.take_step, checkpoint.write_safetensors = take_step, write_half


if __name__ == "__main__":
    from caphuman_train.cli import main
    use_narrow_base()
    die_as_told()
    sys.exit(main())
