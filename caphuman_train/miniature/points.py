"""Stage: a ControlNet of the 68 landmarks as dots (CapHuman Render Head's `landmarks`): what an openpose ControlNet is beside
CapFace, a second hold on the head. It hears the caption, as such ones do."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from caphuman_core.files.weights import read_state_dict, write_safetensors
from caphuman_core.render.dots import draw_dots

from ..step.initial import initialise, scale_hint_block
from ..step.loss import power_weights
from ..step.unet import decode, encode
from .album import places_of
from .autoencoder import sheet_of
from .base import SHEET, BaseLesson, draw_captions
from .known import points_of
from .latents import Latents
from .narrow import COLOURS, make_controlnet
from .scene import scene_of
from .work import Work

LANDMARKS = "landmarks.safetensors"              # of the stage's folder
MEASURED = 64                                    # pictures that the hint block is scaled by


class PointsLesson:
    """Dots, captions and noisy latents; what is found is the noise, by the frozen base model with the network's residuals."""

    def __init__(self, work: Work, captions: list[str], latents: Latents, autoencoder: Any, base: Mapping[str, Tensor]) -> None:
        """base: weights of the base model."""
        recipe = work.recipe
        self.recipe, self.landmarks = recipe, landmarks(work)
        self.captions = BaseLesson(recipe, "points", captions, latents, autoencoder, recipe.points.batch, base)
        self.unet: Any = self.captions.network.eval().requires_grad_(False)
        self.network = make_controlnet(recipe.network.width)
        initialise(self.network, self.unet, recipe.pictures.seed)
        scale_hint_block(self.network, self.dots(torch.arange(min(MEASURED, len(self.landmarks)))), recipe.pictures.seed)
        self.weights = power_weights(self.captions.alphas, recipe.points.snr_power)

    def dots(self, chosen: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] of these pictures, as Render Head draws them."""
        side = self.recipe.pictures.side
        drawn = draw_dots(self.landmarks[chosen], side, side)
        if mirrored is not None:
            drawn = torch.where(mirrored[:, None, None].bool(), drawn.flip(-1), drawn)
        return drawn[:, None].expand(-1, COLOURS, -1, -1)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """As the base model's, and the dots."""
        chosen, mirrored = self.captions.chosen(step)
        return *self.captions.batch(step), self.dots(chosen, mirrored)

    def loss(self, *batch: Tensor) -> Tensor:
        """The noise's mean square error, weighed by the timestep."""
        noisy, times, context, noise, dots = batch
        made = self.network(x=noisy, hint=dots, timesteps=times, context=context)
        found = decode(self.unet, encode(self.unet, noisy, times, context), [*made["output"], *made["middle"]], context)
        return ((found - noise).square().mean((1, 2, 3)) * self.weights[times]).mean()

    def sheet(self) -> Image.Image:
        """Dots of some pictures above what the captions of the base model's sheet become with them, by the host's sampler."""
        dots = self.dots(torch.arange(len(SHEET)) % len(self.landmarks))
        held = [{"control": self._control(one), "control_apply_to_uncond": False} for one in dots]
        rows = draw_captions(self.unet, self.captions.autoencoder, self.captions.text, self.recipe.pictures.side, held)
        half = len(rows[0])
        return sheet_of([list(dots[:half]), rows[0], list(dots[half:]), rows[1]])

    def _control(self, dots: Tensor) -> Any:
        """The host's control object for one picture of dots [3, H, W]."""
        import comfy.controlnet
        drawn = make_controlnet(self.recipe.network.width)
        drawn.load_state_dict(self.network.state_dict())
        cpu = torch.device("cpu")
        control = comfy.controlnet.ControlNet(drawn.eval().requires_grad_(False), load_device=cpu)
        return control.set_cond_hint(dots[None], 1.0, (0.0, 1.0))


def landmarks(work: Work) -> Tensor:
    """[N, 68, 2] pixels, of all pictures in the album's order; found once, and kept in the stage's folder."""
    recipe, path, rows = work.recipe.pictures, work.place("points") / LANDMARKS, []
    if not path.is_file():
        said = work.every(200, "landmarks", recipe.people * recipe.each)
        for person, number in places_of(recipe):
            scene = scene_of(work.model, recipe.seed, recipe.side, person, number, recipe.even_light)
            rows.append(points_of(scene.head, work.model))
            said(len(rows))
        write_safetensors(path, {"landmarks": torch.stack(rows)}, {})
    return read_state_dict(path, "landmarks")["landmarks"]
