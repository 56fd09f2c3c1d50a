"""Stage: the autoencoder's second half alone. The base models have learnt its latents, so these stay; pictures become sharper."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from caphuman_core.capface.spec import CELL
from caphuman_core.files.weights import write_safetensors

from .album import Album
from .autoencoder import FILE, SHOWN, differences, sheet_of
from .latents import Latents
from .narrow import SCALE, decoded
from .recipe import Recipe
from .scene import generator
from .styles import styled


class DecoderLesson:
    """Latents of both styles back to their pictures."""

    def __init__(self, recipe: Recipe, album: Album, latents: tuple[Latents, Latents], autoencoder: Any) -> None:
        """latents: of the pictures, and of them in the second style."""
        self.recipe, self.album, self.latents, self.autoencoder = recipe, album, latents, autoencoder
        self.network = second_half(autoencoder)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Latents, their pictures, and how much each pixel counts."""
        settings, source = self.recipe.decoder, generator(self.recipe.pictures.seed, "decoder", step)
        chosen = torch.randint(len(self.album), (settings.batch,), generator=source)
        mirrored, is_styled = torch.rand(2, settings.batch, generator=source) < torch.tensor([[0.5], [settings.styled_share]])
        noise = torch.randn((settings.batch, *self.latents[0].mean.shape[2:]), generator=source)
        crop = settings.crop // CELL if step < settings.steps * (1 - settings.whole_share) else noise.shape[-1]
        top, left = torch.randint(noise.shape[-1] - crop + 1, (2,), generator=source).tolist()
        rows = [self._row(*one) for one in zip(chosen.tolist(), mirrored.tolist(), is_styled.tolist(), noise, strict=True)]
        latents, pictures, faces = (torch.stack(column) for column in zip(*rows, strict=True))
        small, large = ((..., slice(top * by, (top + crop) * by), slice(left * by, (left + crop) * by)) for by in (1, CELL))
        return latents[small], pictures[large], faces[large]

    def _row(self, index: int, mirrored: bool, is_styled: bool, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        latents, side = self.latents[is_styled], int(mirrored)
        picture, face = self.album.pixels[index].float() / 255, self.album.faces[index][None]
        if is_styled:
            picture = styled(picture[None], self.recipe.pictures.style)[0]
        if mirrored:
            picture, face = picture.flip(-1), face.flip(-1)
        return (latents.mean[index, side] + latents.std[index, side] * noise) / SCALE, picture, face

    def loss(self, *batch: Tensor) -> Tensor:
        """Of pixels and edges, as the whole autoencoder's."""
        latents, pictures, faces = batch
        return differences(decoded(self.autoencoder, latents), pictures, faces)

    def sheet(self) -> Image.Image:
        """Pictures above what becomes of their latents."""
        pictures = self.album.pixels[:SHOWN].float() / 255
        back = torch.cat([decoded(self.autoencoder, one[None, 0] / SCALE) for one in self.latents[0].mean[:SHOWN]])
        return sheet_of([list(pictures), list(back)])


def second_half(autoencoder: Any) -> nn.ModuleDict:
    """What makes pictures of latents."""
    return nn.ModuleDict({"decoder": autoencoder.decoder, "post_quant_conv": autoencoder.post_quant_conv})


def finish_decoder(folder: Path, weights: dict[str, Tensor], autoencoder: Any) -> None:
    """Write the stage's file: the autoencoder with this second half."""
    second_half(autoencoder).load_state_dict(weights)
    write_safetensors(folder / FILE, dict(autoencoder.state_dict()), {})
