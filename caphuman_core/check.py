"""One error style for the whole pack: name, rule, value received, fix."""
from __future__ import annotations

from typing import Any, NoReturn

LONGEST = 600                # characters of what came


class InputError(ValueError):
    """A user-facing refusal. Its text is one sentence: name, rule, what came, what to do."""


def fail(name: str, rule: str, got: Any, fix: str) -> NoReturn:
    """Raise InputError("<name> <rule>, but got <got>: <fix>.").

    name: what is wrong, as the user sees it ("image", "capface file 'x.ckpt'").
    rule: a verb phrase ("must contain one face"). fix: an imperative ("set max_faces to 1").
    """
    raise InputError(f"{name} {rule}, but got {_one_line(str(got))}: {fix.rstrip('.')}.")


def _one_line(got: str) -> str:
    """What came, fit to be shown: files of strangers may hold texts without end, line breaks and terminal codes."""
    shown = got if len(got) <= LONGEST else got[:LONGEST] + "..."
    return "".join(letter if letter.isprintable() else "?" for letter in shown)


def require(condition: bool, name: str, rule: str, got: Any, fix: str) -> None:
    """`fail` unless the condition holds."""
    if not condition:
        fail(name, rule, got, fix)


def require_image(name: str, image: Any, channels: tuple[int, ...] = (1, 3, 4)) -> None:
    """Refuse anything but a finite, non-empty picture tensor [B, H, W, C] with C in `channels`."""
    shape = tuple(int(side) for side in getattr(image, "shape", ()))
    fix = "connect a Load Image node"
    require(len(shape) == 4, name, "must be a batch of pictures [B, H, W, C]", f"shape {list(shape)}", fix)
    require(min(shape[:3]) > 0, name, "must hold at least one picture with pixels", f"shape {list(shape)}", fix)
    require(shape[-1] in channels, name, f"must have {' or '.join(map(str, channels))} channels", shape[-1], fix)
    require(bool(image.isfinite().all()), name, "must hold finite numbers", "NaN or infinity",
            "check the node that made the picture")
