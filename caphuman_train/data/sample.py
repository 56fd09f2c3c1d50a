"""One training sample: a target picture, who is in it (perhaps by another photo), and the head to draw."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from caphuman_core.flow import Head


@dataclass(frozen=True)
class Sample:
    """What is learnt from one portrait. Sizes: h, w = height / 8, width / 8 of the target picture.

    Identity and target may come from two photos of one person: then `reference_key` is the other one's.
    """

    key: str                             # of the target, unique in its shards
    latent_mean: Tensor                  # [4, h, w] float32, scaled as the UNet sees latents (x 0.18215)
    latent_std: Tensor                   # [4, h, w] float32, likewise; a latent is mean + std * noise
    text: str                            # caption of the target; may be empty
    global_embedding: Tensor             # [512] float32, FaceNet of the reference, unit length
    local_tokens: Tensor                 # [257, 1024] float32, CLIP of the whitened reference, class token first
    head: Head                           # of the target, a batch of one in the frame of the target picture
    face_target: Tensor                  # [1, h, w] float32, 1 where the target shows the face itself, else 0
    width: int                           # of the target picture, pixels
    height: int
    person: str
    licence: str                         # of the target photo; "" where nobody said
    source: str                          # where the target photo comes from; "" where nobody said
    reference_key: str                   # whose identity it is: the target's own key, or that of the person's other photo
    flipped: bool = False                # latents and face target are those of the mirrored picture; the hint must be mirrored too


def in_plain_skin(sample: Sample) -> Sample:
    """The sample with its head in the head model's mean skin: what colours the person has, the identity alone tells."""
    head = sample.head
    plain = replace(head, texture=head.texture.new_zeros(head.texture.shape), skin_detail=head.skin_detail[..., :0, :0])
    return replace(sample, head=plain)
