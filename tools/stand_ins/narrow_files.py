"""Model files of a base model and a CapFace with a tenth of the channels, and the custom node by which a server takes them."""
from __future__ import annotations

import shutil
from pathlib import Path

from . import sd15_shapes, untrained_weights
from .narrow_nets import WIDTH

FULL_WIDTH = 320                   # channels of SD1.5's first level
NODE = Path(__file__).with_name("narrow_sd15.py")


def add_node(base: Path) -> None:
    """Make the server of the folder `base`, which has not started yet, take narrow networks for Stable Diffusion 1.5."""
    (base / "custom_nodes").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(NODE, base / "custom_nodes" / NODE.name)


def write_portrait(models: Path) -> dict[str, Path]:
    """What a portrait needs, by role: narrow networks below a models folder, the demo's own untrained ones else."""
    from safetensors.torch import save_file
    made = {}
    for key, role in untrained_weights.ROLES.items():
        if key in ("checkpoint", "capface"):
            made[key] = models / role.folder / f"narrow-{role.stand_in.name}"
            made[key].parent.mkdir(parents=True, exist_ok=True)
            weights = {name: untrained_weights.filled(name, shape) for name, shape in narrow(role.shapes()).items()}
            save_file(weights, str(made[key]))
        else:
            untrained_weights.write_stand_in(role)
            made[key] = role.stand_in
    return made


def narrow(shapes: sd15_shapes.Shapes) -> sd15_shapes.Shapes:
    """The same network with a tenth of the channels in the UNet and what has its layout: every width there is a multiple of 320,
    and no other width of text encoder, autoencoder or hint block is."""
    return {name: tuple(size * WIDTH // FULL_WIDTH if size % FULL_WIDTH == 0 else size for size in shape)
            for name, shape in shapes.items()}
