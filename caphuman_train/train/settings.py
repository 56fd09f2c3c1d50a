"""Every setting of a run, with its reason. The defaults are the reference's (TOML: `python -m caphuman_train train --example`).

A setting marked `affects=False` may change when a run goes on; all others must stay as they were.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..step.draws import TIMESTEPS
from ..step.loss import LossSettings


def setting(default: Any, why: str, least: float | None = None, most: float | None = None, one_of: Sequence[str] = (),
            affects: bool = True) -> Any:
    """A field of a section: its default, its reason, and what it may be."""
    return field(default=default, metadata={"why": why, "least": least, "most": most, "one_of": tuple(one_of), "affects": affects})


@dataclass(frozen=True)
class Run:
    folder: str = setting("", "Where checkpoints, logs and pictures go. One training at a time. Several machines: storage that all "
                              "of them see.", affects=False)
    seed: int = setting(0, "Noise, timesteps, dropouts and the order of the data follow from it and the step alone.", 0, 2**31 - 1)
    steps: int = setting(100_000, "Optimizer steps in all. The paper does not say; watch the held-out losses and the pictures.", 1)


@dataclass(frozen=True)
class Start:
    base: str = setting("", "The Stable Diffusion 1.5 checkpoint that CapFace is trained for; merges of it work with the result.")
    capface: str = setting("", "A CapFace file to go on from; empty starts as the reference does: the base's encoder, copied.")
    scale_hint: bool = setting(False, "Start with hint layers scaled to some samples' hints. The reference's pass on a "
                                      "hundredth of what they get: long runs make up for it, those of a few thousand steps do not.")
    scale_identity: bool = setting(False, "Start with projections scaled so that identity tokens are as loud as text, and differ "
                                          "between people. Else FaceNet's says a fortieth of what text says, and is learnt late.")


@dataclass(frozen=True)
class Data:
    shards: str = setting("", "The folder that `prepare` made.", affects=False)
    held_out: int = setting(64, "Samples kept out of training, of people who are in no other: for losses and pictures that tell "
                                "learning from remembering. 0: none.", 0)
    flip_probability: float = setting(0.0, "Chance that a sample is mirrored, head and mask with it; needs `prepare --flips`.", 0,
                                      1)
    plain_skin_probability: float = setting(0.0, "Chance that a sample's hint is drawn in the head model's mean skin. Where "
                                            "hints always show the person's skin, nothing of it is learnt from the identity.", 0, 1)
    references: str = setting("", "A regular expression: of a person's other photos, those with it in their keys tell who it is, "
                                  "where there are any. Passport photos tell a skin, evening lights hide it. Empty: all.")
    head_model: str = setting("", "The head model file the shards were made with; empty is the built-in head.", affects=False)
    clip_vision: str = setting("", "CLIP ViT-L/14's vision tower, for shards that were prepared without its tokens; the tower then "
                                   "runs in every step, and workers must be 0.", affects=False)
    workers: int = setting(2, "Processes for each training process that read records and draw hints ahead; 0: none.", 0,
                           affects=False)


@dataclass(frozen=True)
class Batch:
    size: int = setting(128, "Samples in an optimizer step, over all processes. The paper: 16 on each of 8.", 1)
    accumulate: int = setting(8, "Parts in which a process computes its share, one after the other: memory falls, the numbers "
                                 "stay.", 1, affects=False)


@dataclass(frozen=True)
class Loss:
    mask_weight: float = setting(1.0, "Weight of the face mask's error beside the noise's. The paper: 1.", 0)
    min_snr_gamma: float = setting(0.0, "5 weighs timesteps by min(SNR, 5)/SNR, which others found faster; 0: all alike, as the "
                                        "reference.", 0)
    snr_power: float = setting(0.0, "-0.5 weighs timesteps by 1/sqrt(SNR), and the errors of all are then about equal: colours and "
                                    "places, decided at high ones, are learnt as fast as the fine grain. 0: all alike.", -1, 0)
    text_dropout: float = setting(0.0, "Chance that a caption is left out. The reference: 0.", 0, 1)
    identity_dropout: float = setting(0.0, "Chance that the identity is silent; about 0.1 allows guidance on identity. The "
                                           "reference: 0.", 0, 1)
    tau: int = setting(0, "Identity is silent at timesteps above this, as with id_dropout_tau when sampling. 0: never.", 0,
                       TIMESTEPS - 1)
    soft_gate_steps: int = setting(0, "For so many steps the predicted mask gates softly: a mask that starts closed gets no "
                                      "gradient through a hard gate. 0: hard from the start, as the reference.", 0)

    def for_step(self) -> LossSettings:
        """What the step itself needs of it."""
        return LossSettings(self.mask_weight, self.min_snr_gamma, self.snr_power)


@dataclass(frozen=True)
class Optimizer:
    name: str = setting("adamw", "adamw8bit keeps its two moments in eight bits (needs bitsandbytes): 2.2 GB less.",
                        one_of=("adamw", "adamw8bit"))
    lr: float = setting(1e-4, "Learning rate, after the warm-up. The paper: 1e-4 at a batch of 128.", 0)
    beta1: float = setting(0.9, "Of AdamW: how long the mean gradient remembers; torch's default, as the reference.", 0, 1)
    beta2: float = setting(0.999, "Of AdamW: how long the mean square remembers; torch's default, as the reference.", 0, 1)
    eps: float = setting(1e-8, "Of AdamW: keeps divisions finite; torch's default, as the reference. Weights whose gradients are "
                               "smaller hardly move: see 'gradients below eps' in the log.", 0)
    weight_decay: float = setting(0.01, "Of AdamW; torch's default, as the reference.", 0)
    clip_norm: float = setting(0.0, "Gradients are scaled down to this norm over all parameters; 1 tames spikes. 0: never, as the "
                                    "reference.", 0)


@dataclass(frozen=True)
class Schedule:
    name: str = setting("constant", "cosine falls from lr to final_share of it at the last step.", one_of=("constant", "cosine"))
    warmup_steps: int = setting(0, "Steps over which the learning rate rises from 0; some hundred help a large batch.", 0)
    final_share: float = setting(0.0, "Of lr, at the end of a cosine.", 0, 1)


@dataclass(frozen=True)
class Average:
    decay: float = setting(0.0, "Weight of the past in a running mean of the weights (0.9999), which is then exported and drawn; "
                                "1.4 GB. 0: none, as the reference.", 0, 1)


@dataclass(frozen=True)
class Compute:
    precision: str = setting("bf16", "What CapFace and the UNet compute in; CapFace's weights stay float32. fp16 where the card "
                                     "has no bf16 (the reference), fp32 on a CPU.", one_of=("bf16", "fp16", "fp32"))
    checkpointing: bool = setting(False, "Blocks are computed again on the way back: far less memory, a third more time.",
                                  affects=False)
    compile: bool = setting(False, "torch.compile of the blocks: faster after some minutes.", affects=False)
    channels_last: bool = setting(False, "Pictures with their channels innermost: faster convolutions on graphics cards.",
                                  affects=False)
    text_cache_mb: int = setting(2048, "Encoded captions kept in memory, so that each is encoded once: 4,000 a gigabyte.", 0,
                                 affects=False)


@dataclass(frozen=True)
class Checkpoints:
    every: int = setting(1000, "Steps between checkpoints (4.3 GB, with a running mean 5.8): what a crash can cost.", 1,
                         affects=False)
    keep: int = setting(2, "Newest checkpoints that are kept.", 1, affects=False)
    keep_every: int = setting(0, "Checkpoints at multiples of this are kept for good. 0: none.", 0, affects=False)


@dataclass(frozen=True)
class Log:
    every: int = setting(50, "Steps between entries in the log. Losses are looked through for NaN as often.", 1, affects=False)
    held_out_every: int = setting(1000, "Steps between losses on held-out samples, always with the same noise.", 1, affects=False)
    pictures_every: int = setting(5000, "Steps between picture grids. 0: none.", 0, affects=False)
    pictures: int = setting(4, "Held-out samples in a grid.", 1, affects=False)
    picture_steps: int = setting(20, "Sampling steps of a picture.", 1, affects=False)
    picture_cfg: float = setting(5.0, "Guidance of a picture.", 0, affects=False)


@dataclass(frozen=True)
class Settings:
    """A whole run.toml; each section is a table of it."""

    run: Run = field(default_factory=Run)
    start: Start = field(default_factory=Start)
    data: Data = field(default_factory=Data)
    batch: Batch = field(default_factory=Batch)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    average: Average = field(default_factory=Average)
    compute: Compute = field(default_factory=Compute)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    log: Log = field(default_factory=Log)
