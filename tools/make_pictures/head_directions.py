"""Draws docs/head_directions.jpg: what the first ten directions of shape and of texture do to the built-in head, either way.

    python -m tools.make_pictures.head_directions [--out FILE] [--tile PIXELS]
"""
from __future__ import annotations

from caphuman_core.head.model.head_model import HeadModel

from ..sheet import Look, Tile
from .builtin_head import Person, View, draw_page, tile

FIRST = 10                   # directions
SHAPE, TEXTURE = 1.5, 1.6    # amounts, standard deviations
YAW = 25.0                   # degrees


def rows(model: HeadModel, size: int) -> list[list[Tile]]:
    """Two rows for shape, two for texture: less of a direction above, more of it below with its name."""
    made = []
    for names, amount, is_shape in ((model.identity_names, SHAPE, True), (model.texture_names, TEXTURE, False)):
        for sign in (-1.0, 1.0):
            codes = [{name: sign * amount} for name in names[:FIRST]]
            people = [Person(shape=code) if is_shape else Person(texture=code) for code in codes]
            captions = [f"{'−' if sign < 0 else '+'} {name.replace('-', ' ')}" for name in names[:FIRST]]
            views = [View(yaw=YAW if is_shape else 0.0, person=person) for person in people]
            made.append([(tile(model, size, view), caption) for view, caption in zip(views, captions, strict=True)])
    return made


if __name__ == "__main__":
    draw_page(__doc__, "head_directions", 150, rows, Look("#ededed", gap=2, rim=2, letters=12))
