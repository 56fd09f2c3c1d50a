"""Heads over time: keyframes on a timeline, and heads fitted to the frames of a video made steady."""
from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...check import fail, require
from ...easings import EASINGS
from ...flow import Head
from ..camera import pixels_per_unit
from ..model.head_model import HeadModel
from ..pivot import move_pivot, pivot
from ..rotations import axis_angle_from_matrix, matrix_from_axis_angle
from .transfer import mix, require_one_model

WIDEST_SECONDS = 0.2         # standard deviation of the averaging at smoothing 1
REACH = 3.0                  # of the kernel, in standard deviations


@dataclass(frozen=True)
class Keyframe:
    """A single head at a place of the timeline."""

    head: Head
    frame: int                           # 0 is the first
    easing: str = "linear"               # how the way to the next keyframe is spaced


@dataclass(frozen=True)
class Keyframes:
    """Keyframes in the order they were added."""

    keys: tuple[Keyframe, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def with_key(self, key: Keyframe) -> Keyframes:
        """One keyframe more; refuses batches, unknown easings and heads that do not fit those already there."""
        require(len(key.head) == 1, "head", "must be a single head to be a keyframe", f"a batch of {len(key.head)}",
                "fit a single picture, not a batch of them")
        require(key.frame >= 0, "frame", "must be 0 or more", key.frame, "count frames from 0")
        if key.easing not in EASINGS:
            fail("easing", f"must be one of {', '.join(EASINGS)}", repr(key.easing), "choose one of them")
        for other in self.keys:
            require(other.frame != key.frame, "keyframes", "must stand at different frames", f"two at frame {key.frame}",
                    "move one of them")
        if self.keys:
            require_one_model(self.keys[0].head, key.head)
            _same_picture(self.keys[0].head, key.head)
        return Keyframes((*self.keys, key))


def _same_picture(first: Head, second: Head) -> None:
    require((first.width, first.height) == (second.width, second.height), "keyframes", "must be in pictures of one size",
            f"{first.width} x {first.height} and {second.width} x {second.height}",
            "transfer the position first, or resize the photos")


def blend_keyframes(keyframes: Keyframes, frames: int) -> Head:
    """A batch of `frames` heads through the keyframes; the first and the last keyframe hold to their ends.

    Between two neighbours heads go as in `transfer.blend`, spaced by the earlier one's easing.
    """
    require(frames >= 1, "frames", "must be at least 1", frames, "choose a larger number")
    require(len(keyframes) > 0, "keyframes", "must hold at least one head", "none", "connect head_a, head_b or keyframes")
    keys = sorted(keyframes.keys, key=lambda key: key.frame)
    require(keys[-1].frame < frames, "keyframes", f"must stand at frames 0 to {frames - 1}", keys[-1].frame,
            "raise frames, or move the keyframe")
    parts = [_held(keys[0].head, keys[0].frame)]
    for one, following in itertools.pairwise(keys):
        count = following.frame - one.frame
        amount = torch.tensor([EASINGS[one.easing](step / count) for step in range(count)])
        parts.append(mix(one.head, following.head, amount))
    parts.append(_held(keys[-1].head, frames - keys[-1].frame))
    return Head.stack([part for part in parts if part is not None])


def _held(head: Head, count: int) -> Head | None:
    return mix(head, head, torch.zeros(count)) if count else None


def fill_gaps(heads: Head) -> Head:
    """Frames without a head (present False) get one between their neighbours; at the ends the nearest holds.

    Raises InputError when no frame has one.
    """
    there = heads.present.nonzero().flatten().tolist()
    require(bool(there), "video", "must show a face in at least one frame", "none", "use a clip in which the face is seen")
    parts = []
    for frame in range(len(heads)):
        place = bisect_left(there, frame)
        after, before = there[min(place, len(there) - 1)], there[max(0, place - 1)]
        if frame in (before, after) or before == after:
            parts.append(heads[after])
        else:
            parts.append(mix(heads[before], heads[after], torch.tensor([(frame - before) / (after - before)])))
    return Head.stack(parts)


def steady(heads: Head) -> Head:
    """Who it is and the light do not change within a shot: identity, texture and light become their medians over the frames
    that show a head. Skins of photos stay as they are."""
    def median(values: Tensor) -> Tensor:
        return values[heads.present].quantile(0.5, dim=0).expand_as(values).contiguous() if values[0].numel() else values
    return heads.replace(identity=median(heads.identity), texture=median(heads.texture), light=median(heads.light))


def smooth(heads: Head, model: HeadModel, smoothing: float, frames_per_second: float) -> Head:
    """Heads averaged over neighbouring frames with a symmetric Gaussian: jitter goes, and nothing lags behind.

    smoothing: 0 leaves the heads as they are, 1 averages with a standard deviation of 0.2 s. Rotations are averaged as rotations
    (the nearest one to the mean matrix), sizes by their logarithms, places by where the head's pivot lies in the picture.
    Frames without a head count nothing and stay as they are, and so do the skins of photos.
    """
    require(0 <= smoothing <= 1, "smoothing", "must be from 0 to 1", smoothing, "choose a value in that range")
    width = smoothing * WIDEST_SECONDS * frames_per_second
    if width < 1e-3 or len(heads) < 2:
        return heads
    average = _Average(heads.present, width)
    sizes = pixels_per_unit(heads)
    shape = heads.crop_to_picture[:, :2, :2] * (heads.camera[:, :1] / sizes[:, None])[..., None]
    camera = heads.camera[heads.present].quantile(0.5, dim=0)
    placing = heads.crop_to_picture.clone()
    placing[:, :2, :2] = average(shape) * (average(sizes.log()[:, None]).exp() / camera[0])[..., None]
    smoothed = heads.replace(
        expression=average(heads.expression), rotation_radians=average.rotations(heads.rotation_radians),
        jaw_radians=average.rotations(heads.jaw_radians), identity=average(heads.identity), texture=average(heads.texture),
        light=average(heads.light), gaze_radians=average(heads.gaze_radians), neck_share=average(heads.neck_share[:, None])[:, 0],
        camera=camera.expand_as(heads.camera).contiguous(), crop_to_picture=placing)
    smoothed = move_pivot(smoothed, model, average(pivot(heads, model)))
    kept = ("present", "skin_detail")
    return heads.replace(**{name: torch.where(heads.present.view(-1, *[1] * (value.dim() - 1)), getattr(smoothed, name), value)
                            for name, value in vars(heads).items() if isinstance(value, Tensor) and name not in kept})


class _Average:
    """Weighted means over neighbouring frames; absent frames weigh nothing."""

    def __init__(self, present: Tensor, width: float) -> None:
        self.reach = max(1, math.ceil(REACH * width))
        steps = torch.arange(-self.reach, self.reach + 1, dtype=torch.float64)
        self.kernel = torch.exp(-0.5 * (steps / width) ** 2)[None, None]
        self.weight = present.double()
        self.total = self._sum(self.weight[:, None])

    def _sum(self, values: Tensor) -> Tensor:
        """[N, C] -> [N, C]."""
        return F.conv1d(values.T[:, None], self.kernel, padding=self.reach)[:, 0].T

    def __call__(self, values: Tensor) -> Tensor:
        """[N, ...] -> the same shape."""
        flat = values.double().flatten(1).masked_fill(self.weight[:, None] == 0, 0.0)
        return (self._sum(flat) / self.total.clamp(min=1e-12)).view(values.shape).to(values)

    def rotations(self, axis_angle: Tensor) -> Tensor:
        """Rotation vectors [N, 3]: the rotation nearest to the mean matrix (chordal mean, by SVD)."""
        u, _, vh = torch.linalg.svd(self(matrix_from_axis_angle(axis_angle.double())))
        u = torch.cat([u[..., :2], u[..., 2:] * torch.linalg.det(u @ vh)[:, None, None]], -1)
        return axis_angle_from_matrix(u @ vh).to(axis_angle)
