"""Pictures of samples, drawn as users draw them: CapHuman Apply CapFace and the host's sampler."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..data.batch import Batch
    from ..step.base import Base

SAMPLER, SCHEDULER = "dpmpp_2m", "karras"


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn."""

    steps: int = 20
    cfg: float = 5.0
    seed: int = 0


@torch.no_grad()
def draw_samples(base: Base, weights: Mapping[str, Tensor], batch: Batch, drawing: Drawing) -> Tensor:
    """A row for each sample: its photo as the autoencoder knows it, the shaded head, the predicted mask, the picture.

    weights: CapFace's, by their names in the network. Returns [3, rows, columns] 0..1.
    """
    capface = load_capface(weights)
    rows = [_row(base, capface, batch, index, drawing) for index in range(len(batch.keys))]
    return torch.cat(rows, 1)


def load_capface(weights: Mapping[str, Tensor]) -> Any:
    """The weights as CapHuman Load CapFace loads them from a file."""
    from caphuman_train.host import part
    state = {name: value.detach().cpu() for name, value in weights.items()}
    network, dtype = part()("nodes.capface.network").build(state, "CapFace in training")
    return part()("nodes.capface.control").CapFace(network, part()("nodes.host").patcher(network), dtype, "CapFace in training")


def _row(base: Base, capface: Any, batch: Batch, index: int, drawing: Drawing) -> Tensor:
    positive, negative, mask = applied(base, capface, batch, index)
    mean = batch.latent_mean[index:index + 1]
    latents = sampled(base, positive, negative, tuple(mean.shape), drawing)
    photo = base.decode(base.patcher.model.latent_format.process_out(mean))
    shaded = batch.hint[index, 6:9].clamp(0, 1)
    pictures = [_picture(photo), shaded, mask[0].cpu().expand(3, -1, -1), _picture(base.decode(latents))]
    return torch.cat(pictures, 2)


def applied(base: Base, capface: Any, batch: Batch, index: int) -> tuple[Any, Any, Tensor]:
    """Positive and negative conditioning with the person in them, and the predicted mask [1, H, W]."""
    from caphuman_core.flow import HeadHint, Identity
    from caphuman_train.host import part
    hint = batch.hint[index:index + 1]
    shown = torch.ones(1, dtype=torch.bool)
    who = Identity(batch.global_embedding[index:index + 1], batch.local_tokens[index:index + 1], shown, "")
    texts = [[[base.encode_text(text)[None], {}]] for text in (batch.texts[index], "")]
    head = HeadHint(hint, (hint[:, :3] != 0).any(1).float(), shown)
    return part()("nodes.capface.apply").ApplyCapFace.execute(*texts, capface, who, head).result


def sampled(base: Base, positive: Any, negative: Any, size: tuple[int, ...], drawing: Drawing) -> Tensor:
    """Latents [1, 4, h, w] by the functions behind KSampler."""
    import comfy.sample
    empty = torch.zeros(size)
    noise = comfy.sample.prepare_noise(empty, drawing.seed)
    return comfy.sample.sample(base.patcher, noise, drawing.steps, drawing.cfg, SAMPLER, SCHEDULER, positive, negative, empty,
                               disable_pbar=True, seed=drawing.seed)


def _picture(image: Tensor) -> Tensor:
    """[1, H, W, 3] of any range -> [3, H, W] 0..1 on the CPU."""
    return image[0].movedim(-1, 0).clamp(0, 1).float().cpu()
