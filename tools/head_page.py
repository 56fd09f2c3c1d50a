"""Draws docs/head_builtin.jpg: the built-in head from five angles, with expressions, and as different people.

    python tools/head_page.py [--out FILE] [--tile PIXELS]

Drawn with the pack's own renderer; needs matplotlib.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from caphuman_core.flow import Head  # noqa: E402
from caphuman_core.head import light  # noqa: E402
from caphuman_core.head.model.head_model import HeadModel, load_builtin  # noqa: E402
from caphuman_core.head.new import new_head  # noqa: E402
from caphuman_core.head.pivot import move_pivot, scale_about_pivot  # noqa: E402
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_yaw_pitch_roll  # noqa: E402
from caphuman_core.render.maps import Render, render  # noqa: E402

ANGLES = ((-80.0, 0.0), (-35.0, 0.0), (0.0, 0.0), (35.0, 0.0), (0.0, 25.0))          # yaw, pitch degrees
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
    "blink": {"eyeBlinkLeft": 1, "eyeBlinkRight": 1},
    "brows up": {"browInnerUp": 1, "browOuterUpLeft": 1, "browOuterUpRight": 1, "eyeWideLeft": 0.5, "eyeWideRight": 0.5},
    "jaw 0.3 rad": {"jaw": 0.3},
    "pucker": {"mouthPucker": 1},
}
PEOPLE = 8
ZOOM = 1.2
BACKGROUND = 0.93


def pose(model: HeadModel, size: int, yaw: float, pitch: float, amounts: dict[str, float]) -> Head:
    """A centred head of the built-in model with named expressions; "jaw" is radians."""
    head = new_head(model, size, size)
    expression = head.expression.clone()
    for name, amount in amounts.items():
        if name != "jaw":
            expression[0, model.expression_names.index(name)] = amount
    turn = matrix_from_yaw_pitch_roll(*(torch.tensor([value]) for value in (yaw, pitch, 0.0)))
    head = head.replace(expression=expression, rotation_radians=axis_angle_from_matrix(turn),
                        jaw_radians=torch.tensor([[amounts.get("jaw", 0.0), 0.0, 0.0]]),
                        light=light.directional(-35.0, 35.0, 0.55, 0.65)[None])
    head = scale_about_pivot(head, model, torch.tensor([ZOOM]))
    return move_pivot(head, model, torch.tensor([[size / 2, size * 0.45]]))


def pictures(model: HeadModel, size: int) -> list[tuple[str, list[np.ndarray]]]:
    """Captioned rows of tiles [size, size, 3], 0..1."""
    rows = []
    for name, amounts in EXPRESSIONS.items():
        drawn = [render(pose(model, size, yaw, pitch, amounts), model, size, size) for yaw, pitch in ANGLES]
        front = drawn[2]
        rows.append((name, [shaded(one) for one in drawn] + [over(front, front.normal * 0.5 + 0.5), over(front, front.albedo),
                                                            over(drawn[3], drawn[3].normal * 0.5 + 0.5)]))
    generator = torch.Generator().manual_seed(7)
    people = []
    for i in range(PEOPLE):
        head = pose(model, size, 20.0 * (i % 3 - 1), 0.0, {})
        head = head.replace(identity=torch.randn(head.identity.shape, generator=generator) * 0.9,
                            texture=torch.randn(head.texture.shape, generator=generator) * 0.8)
        people.append(shaded(render(head, model, size, size)))
    return [*rows, ("people", people)]


def shaded(one: Render) -> np.ndarray:
    return over(one, one.shaded)


def over(one: Render, channels: torch.Tensor) -> np.ndarray:
    """The picture over a light background, [H, W, 3]."""
    mask = one.mask[0][..., None]
    return (channels[0].permute(1, 2, 0) * mask + BACKGROUND * (1 - mask)).clamp(0, 1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/head_builtin.jpg")
    parser.add_argument("--tile", type=int, default=184, help="pixels")
    options = parser.parse_args()
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    rows = pictures(load_builtin(), options.tile)
    columns = len(rows[0][1])
    figure, axes = pyplot.subplots(len(rows), columns, figsize=(columns * options.tile / 100, len(rows) * options.tile / 100),
                                   dpi=100, gridspec_kw={"wspace": 0, "hspace": 0, "left": 0, "right": 1, "top": 1, "bottom": 0})
    for (name, tiles), line in zip(rows, axes, strict=True):
        for tile, cell in zip(tiles, line, strict=True):
            cell.imshow(tile, interpolation="nearest")
            cell.set_axis_off()
        line[0].text(0.04, 0.94, name, transform=line[0].transAxes, va="top", fontsize=10)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out)


if __name__ == "__main__":
    main()
