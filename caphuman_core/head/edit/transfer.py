"""Taking position, pose, expression or lighting from another head, and blending heads."""
from __future__ import annotations

import torch
from torch import Tensor

from ...check import fail, require
from ...easings import EASINGS
from ...flow import Head
from ..rotations import interpolate


def transfer(source: Head, target: Head, position: bool, pose: bool, expression: bool, lighting: bool) -> Head:
    """The source person with chosen parts of the target head (FACE.md: modes).

    position: camera and placing, with the picture frame they refer to; pose: the global rotation, and the neck's share of it;
    expression: code, jaw and gaze; lighting: the light. Who it is (shape and texture) always stays the source's. A single head on
    either side serves the whole batch of the other.
    """
    require_one_model(source, target)
    source, target = match_batch(source, target)
    groups = (
        (position, ("camera", "crop_to_picture")),
        (pose, ("rotation_radians", "neck_share")),
        (expression, ("expression", "jaw_radians", "gaze_radians")),
        (lighting, ("light",)),
    )
    changes: dict[str, object] = {name: getattr(target, name) for chosen, names in groups if chosen for name in names}
    if position:
        changes |= {"width": target.width, "height": target.height}
    if position or pose or expression or lighting:
        changes["present"] = source.present & target.present
    return source.replace(**changes)


def blend(first: Head, last: Head, frames: int, easing: str = "linear") -> Head:
    """A batch of `frames` heads from `first` to `last`, both included (one frame: the middle).

    Rotations follow the shortest arc; sizes change by equal ratios; everything else is interpolated linearly.
    Both are single heads of one model in pictures of one size.
    """
    require_one_model(first, last)
    require(len(first) == 1 and len(last) == 1, "heads to blend", "must be single heads",
            f"batches of {len(first)} and {len(last)}", "pick one head of the batch")
    require((first.width, first.height) == (last.width, last.height), "heads to blend", "must be in pictures of one size",
            f"{first.width} x {first.height} and {last.width} x {last.height}",
            "transfer the position first, or resize the photos")
    require(frames >= 1, "frames", "must be at least 1", frames, "choose a larger number")
    if easing not in EASINGS:
        fail("easing", f"must be one of {', '.join(EASINGS)}", repr(easing), "choose one of them")
    raw = torch.linspace(0, 1, frames) if frames > 1 else torch.tensor([0.5])
    amount = torch.tensor([EASINGS[easing](float(t)) for t in raw])
    return mix(first, last, amount)


def mix(first: Head, last: Head, amount: Tensor) -> Head:
    """Heads between two single ones at each amount [N], 0 the first and 1 the last."""
    def linear(name: str) -> Tensor:
        a, b = getattr(first, name), getattr(last, name)
        weight = amount.view(-1, *[1] * (a.dim() - 1))
        return a * (1 - weight) + b * weight

    column = amount[:, None]
    size = first.camera[:, :1] * (last.camera[:, :1] / first.camera[:, :1]) ** column
    placing = linear("crop_to_picture")
    places = [_scale(head.crop_to_picture) for head in (first, last)]
    wanted = places[0] * (places[1] / places[0]) ** amount
    centre = torch.tensor([112.0, 112.0, 1.0])                       # of the crop: it moves on a straight line
    middle = (centre @ placing)[:, :2]
    placing[:, :2, :2] *= (wanted / _scale(placing))[:, None, None]
    placing[:, 2, :2] += middle - (centre @ placing)[:, :2]
    arcs = {name: interpolate(getattr(first, name), getattr(last, name), column) for name in ("rotation_radians", "jaw_radians")}
    lines = {name: linear(name) for name in ("identity", "expression", "texture", "light", "gaze_radians", "neck_share")}
    return first.replace(camera=torch.cat([size, linear("camera")[:, 1:]], 1), crop_to_picture=placing,
                         present=(first.present & last.present).expand(len(amount)), skin_detail=_mixed_skin(first, last, amount),
                         **arcs, **lines)


def _mixed_skin(first: Head, last: Head, amount: Tensor) -> Tensor:
    """The skins of photos between those of two single heads at each amount [N]; one that wears none blends to the model's own."""
    if first.has_skin or last.has_skin:
        first, last = first.with_sheet(), last.with_sheet()
    a, b = first.skin_detail, last.skin_detail
    if a.equal(b):
        return a.expand(len(amount), *a.shape[1:])
    return torch.cat([torch.lerp(a.float(), b.float(), float(t)).half() for t in amount])


def _scale(placing: Tensor) -> Tensor:
    return torch.linalg.det(placing[:, :2, :2]).abs().sqrt()


def match_batch(first: Head, second: Head) -> tuple[Head, Head]:
    """Both with the same number of heads: a single one is repeated, other mismatches are refused."""
    size = max(len(first), len(second))
    for head in (first, second):
        require(len(head) in (1, size), "heads", "must come one to one, or one for all", f"{len(first)} and {len(second)}",
                "use batches of the same size")
    return first.expand(size), second.expand(size)


def require_one_model(first: Head, second: Head) -> None:
    """Refuse heads of two head models: their codes have nothing in common."""
    require(first.model_fingerprint == second.model_fingerprint, "heads", "must be of one head model",
            f"models {first.model_fingerprint} and {second.model_fingerprint}", "fit both with the same head model")
