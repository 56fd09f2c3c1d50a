"""Stages: the base model, and the same taught the second style."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..step.base import alphas_of
from ..step.loss import snr_weights
from ..train.pictures import Drawing, sampled
from .autoencoder import sheet_of
from .latents import Latents
from .narrow import ZERO_AT_START, initialise, make_unet, patcher_of, pictures_of
from .recipe import Recipe
from .scene import generator
from .text import Text, host_tokenizer

SHEET = ("photo of a person, short brown hair, a red shirt, a blue background",
         "photo of a person, long blond hair, a black shirt, a white background",
         "photo of a person, curly black hair, a yellow shirt, a purple background",
         "photo of a person, no hair, a green shirt, a grey background",
         "photo of a person, short white hair, a blue shirt, a soft pink background",
         "photo of a person, a blue shirt, a red background, long red hair",
         "grey photo of a person, curly grey hair, a white shirt, a black background", "")
DRAWING = Drawing(steps=20, cfg=4.0)


class BaseLesson:
    """Captions and latents of pictures; what is found is the noise."""

    def __init__(self, recipe: Recipe, name: str, captions: list[str], latents: Latents, autoencoder: Any, size: int,
                 start: Mapping[str, Tensor] | None = None) -> None:
        """name: of the stage, for its own random numbers. size: pictures of a step. start: weights to go on from; None: none."""
        self.recipe, self.name, self.latents, self.autoencoder, self.size = recipe, name, latents, autoencoder, size
        self.network: Any = make_unet(recipe.network.width)
        initialise(self.network, recipe.pictures.seed, ZERO_AT_START)
        if start is not None:
            self.network.load_state_dict(start)
        self.alphas = alphas_of(patcher_of(make_unet(32, "meta")).model)
        self._tokens = host_tokenizer()(captions)
        self._nothing = host_tokenizer()([""])
        self.text = Text(recipe.pictures.seed)
        self._known: dict[int, Tensor] = {}      # float16, one a caption

    def chosen(self, step: int) -> tuple[Tensor, Tensor]:
        """Which pictures a step is of, and whether they are mirrored (0 or 1): [B] each."""
        return self._chosen(generator(self.recipe.pictures.seed, self.name, step))

    def _chosen(self, source: torch.Generator) -> tuple[Tensor, Tensor]:
        return (torch.randint(len(self.latents.mean), (self.size,), generator=source),
                torch.randint(2, (self.size,), generator=source))

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Noisy latents, their timesteps, their captions, and the noise."""
        source = generator(self.recipe.pictures.seed, self.name, step)
        chosen, side = self._chosen(source)
        dropped = torch.rand(self.size, generator=source) < self.recipe.base.text_dropout
        mean, std = self.latents.mean[chosen, side], self.latents.std[chosen, side]
        latents = mean + std * torch.randn(mean.shape, generator=source)
        noise, times = torch.randn(mean.shape, generator=source), torch.randint(1000, (self.size,), generator=source)
        alpha = self.alphas[times][:, None, None, None]
        context = torch.stack([self._context(-1 if drop else index)
                               for index, drop in zip(chosen.tolist(), dropped.tolist(), strict=True)])
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise, times, context.float(), noise

    def loss(self, *batch: Tensor) -> Tensor:
        """The noise's mean square error, weighed by the timestep."""
        noisy, times, context, noise = batch
        errors = (self.network(noisy, times, context=context) - noise).square().mean((1, 2, 3))
        return (errors * snr_weights(self.alphas[times], self.recipe.base.min_snr_gamma)).mean()

    def _context(self, index: int) -> Tensor:
        """[77, 768] of a picture's caption; -1: of no words."""
        if index not in self._known:
            tokens = self._nothing if index < 0 else self._tokens[index:index + 1]
            self._known[index] = self.text(tokens)[0].half()
        return self._known[index]

    def sheet(self) -> Image.Image:
        """Pictures of the captions of SHEET, by the host's sampler."""
        return sheet_of(draw_captions(self.network, self.autoencoder, self.text, self.recipe.pictures.side))


def draw_captions(unet: Any, autoencoder: Any, text: Text, side: int, held: Sequence[dict[str, Any]] = ()) -> list[list[Tensor]]:
    """Two rows of pictures [3, H, W], one for each caption of SHEET. held: more of each caption's conditioning (`control`)."""
    from ..step.base import Base
    drawn = make_unet(unet.model_channels)
    drawn.load_state_dict(unet.state_dict())
    patcher = patcher_of(drawn.eval().requires_grad_(False))
    base = Base(patcher, drawn, torch.zeros(0), "", "", lambda caption: torch.zeros(0), lambda latents: torch.zeros(0))
    tokens, pictures = host_tokenizer(), []
    for number, caption in enumerate(SHEET):
        positive, negative = ([[text(tokens([words])), dict(held[number]) if held else {}]] for words in (caption, ""))
        drawing = Drawing(DRAWING.steps, DRAWING.cfg, number)
        latents = sampled(base, positive, negative, (1, 4, side // 8, side // 8), drawing)
        pictures.append(pictures_of(autoencoder, latents)[0].movedim(-1, 0))
    half = len(pictures) // 2
    return [pictures[:half], pictures[half:]]
