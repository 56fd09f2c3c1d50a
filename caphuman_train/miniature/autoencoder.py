"""Stage: the autoencoder, from the drawn pictures and a share of them in the second style."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from caphuman_core.capface.spec import CELL
from caphuman_core.files.weights import load_strict, read_state_dict, write_safetensors
from caphuman_core.pixels import image_of

from .album import Album
from .narrow import SCALE, decoded, initialise, make_autoencoder, posterior
from .recipe import Recipe
from .scene import generator
from .shrinking import start_shrinking
from .styles import styled

FILE = "autoencoder.safetensors"
EDGES = 0.5                                      # weight of the differences of neighbouring pixels beside the pixels themselves
FACE = 3.0                                       # weight of a face's pixels: eyes and mouth are small
SHOWN = 8                                        # pictures of a sheet
MEASURED = 256                                   # pictures that the latents' mean and deviation come from


class AutoencoderLesson:
    """Pictures through a narrow place and back."""

    def __init__(self, recipe: Recipe, album: Album, start: Mapping[str, Tensor] | None = None) -> None:
        """start: weights to go on from; None: none."""
        self.recipe, self.album = recipe, album
        self.network: Any = make_autoencoder()
        initialise(self.network, recipe.pictures.seed)
        start_shrinking(self.network)
        if start is not None:
            self.network.load_state_dict(start)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Pictures, where their faces are, and the noise of their latents."""
        source = generator(self.recipe.pictures.seed, "autoencoder", step)
        pictures, faces = self._pictures(step, source)
        height, width = pictures.shape[2:]
        return pictures, faces, torch.randn((len(pictures), 4, height // CELL, width // CELL), generator=source)

    def loss(self, *batch: Tensor) -> Tensor:
        """Of pixels and edges, and a little of the latents' divergence from a normal distribution."""
        pictures, faces, noise = batch
        mean, log_variance = posterior(self.network, pictures)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
        back = decoded(self.network, mean + torch.exp(log_variance / 2) * noise)
        return differences(back, pictures, faces) + self.recipe.autoencoder.kl * divergence

    def _pictures(self, step: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """[B, 3, crop, crop], or whole ones towards the end, some mirrored, some styled; and their faces [B, 1, crop, crop]."""
        settings, side = self.recipe.autoencoder, self.album.pixels.shape[-1]
        whole = step >= settings.steps * (1 - settings.whole_share)
        chosen = torch.randint(len(self.album), (settings.batch,), generator=source)
        chances = torch.rand(2, settings.batch, generator=source)
        pictures, faces = self.album.pixels[chosen].float() / 255, self.album.faces[chosen][:, None]
        mirrored = (chances[0] < 0.5)[:, None, None, None]
        pictures, faces = (torch.where(mirrored, given.flip(-1), given) for given in (pictures, faces))
        pictures = torch.where((chances[1] < settings.styled_share)[:, None, None, None],
                               styled(pictures, self.recipe.pictures.style), pictures)
        crop = side if whole else settings.crop
        top, left = torch.randint(side - crop + 1, (2,), generator=source).tolist()
        place = (..., slice(top, top + crop), slice(left, left + crop))
        return pictures[place], faces[place]

    def sheet(self) -> Image.Image:
        """Pictures above what becomes of them."""
        pictures = self.album.pixels[:SHOWN].float() / 255
        pictures = torch.cat([pictures, styled(pictures[:2], self.recipe.pictures.style)])
        back = torch.cat([decoded(self.network, posterior(self.network, one[None])[0]) for one in pictures])
        return sheet_of([list(pictures), list(back)])


def differences(found: Tensor, wanted: Tensor, faces: Tensor) -> Tensor:
    """Of pictures [B, 3, H, W] and their edges; a face's pixels [B, 1, H, W] count more."""
    error = (found - wanted) * (1 + (FACE - 1) * faces.float())
    return error.abs().mean() + EDGES * _edges(error)


def _edges(error: Tensor) -> Tensor:
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def sheet_of(rows: Sequence[Sequence[Tensor]]) -> Image.Image:
    """Rows of pictures [3, H, W], as large again."""
    picture = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    image = image_of(picture)
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST)


@torch.no_grad()
def levelled(autoencoder: Any, pictures: Tensor) -> None:
    """Make the latents' mean 0 and deviation 1 / SCALE over pictures [N, 3, H, W], in place, without changing what is decoded:
    both go into the two 1x1 convolutions beside the latents."""
    means = torch.cat([posterior(autoencoder, part)[0] for part in pictures.split(8)])
    middle, factor = means.mean((0, 2, 3)), 1 / (SCALE * means.std((0, 2, 3)))
    before, after = autoencoder.quant_conv, autoencoder.post_quant_conv
    before.weight[:4] *= factor[:, None, None, None]
    before.bias[:4] = (before.bias[:4] - middle) * factor
    before.bias[4:] += 2 * factor.log()
    after.bias += (after.weight[:, :, 0, 0] * middle).sum(1)
    after.weight /= factor[None, :, None, None]


def finish_autoencoder(folder: Path, weights: dict[str, Tensor], album: Album) -> None:
    """Write the stage's file: the running mean, levelled on the album's first pictures."""
    network = make_autoencoder()
    network.load_state_dict(weights)
    levelled(network, album.pixels[:MEASURED].float() / 255)
    write_safetensors(folder / FILE, dict(network.state_dict()), {})


def open_autoencoder(folder: Path) -> Any:
    """What `finish_autoencoder` wrote."""
    network = make_autoencoder()
    load_strict(network, read_state_dict(folder / FILE, "autoencoder"), "autoencoder")
    return network.eval().requires_grad_(False)
