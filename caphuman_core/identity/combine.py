"""Identities of several photos or people, mixed."""
from __future__ import annotations

import torch
from torch import Tensor

from ..check import fail, require
from ..flow import Identity


def average(identity: Identity) -> Identity:
    """One identity of all that are present: mean embedding of unit length, mean tokens. Raises InputError for none."""
    require(bool(identity.present.any()), "identity", "must hold at least one face to average", "none",
            "use a photo with a visible face")
    here = identity.present
    return Identity(
        _unit(identity.global_embedding[here].mean(0, keepdim=True)), identity.local_tokens[here].mean(0, keepdim=True),
        torch.ones(1, dtype=torch.bool), identity.encoder_fingerprint, identity.clip_fingerprint,
        None if identity.arcface is None else _unit(identity.arcface[here].mean(0, keepdim=True)))


def combine(a: Identity, b: Identity, weight: float) -> Identity:
    """weight 0 is a, 1 is b. Batches pair up; a single identity goes with each of the other side.

    Where only one side has a face, that side is taken. Raises InputError for encoders that differ or batches that do not pair.
    """
    require_same_encoder(a, b)
    count = max(len(a), len(b))
    require(len(a) in (1, count) and len(b) in (1, count), "identity_b", "must hold as many identities as identity_a, or one",
            f"{len(b)} for {len(a)}", "average one side in CapHuman Encode Identity")
    a_here, b_here = a.present.expand(count), b.present.expand(count)
    share = torch.where(a_here & b_here, weight, b_here.float())                    # [N] of b
    arcface = None if a.arcface is None or b.arcface is None else _unit(_mix(a.arcface, b.arcface, share))
    return Identity(_unit(_mix(a.global_embedding, b.global_embedding, share)), _mix(a.local_tokens, b.local_tokens, share),
                    a_here | b_here, a.encoder_fingerprint or b.encoder_fingerprint,
                    a.clip_fingerprint or b.clip_fingerprint, arcface)


def require_same_encoder(a: Identity, b: Identity) -> None:
    """Refuse identities whose numbers do not mean the same; unknown encoders (fingerprint "") pass."""
    for what, one, other in (("identity encoder", a.encoder_fingerprint, b.encoder_fingerprint),
                             ("CLIP vision model", a.clip_fingerprint, b.clip_fingerprint)):
        if one and other and one != other:
            fail("identity_b", f"must be made with the same {what} as identity_a", f"{other} and {one}",
                 "encode both photos with the same models")


def _mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    share = share.view(-1, *[1] * (a.dim() - 1)).to(a)
    return a * (1 - share) + b * share


def _unit(vectors: Tensor) -> Tensor:
    """Rows of unit length; zero rows stay zero."""
    return torch.nn.functional.normalize(vectors, dim=-1)
