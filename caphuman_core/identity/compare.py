"""How alike two identities are, in numbers and in a sentence."""
from __future__ import annotations

from torch import Tensor

from ..check import require
from ..flow import Identity
from .combine import average, require_same_encoder

# Cosine limits (different people below the first, the same person above the second). FaceNet on VGGFace2: published
# verification thresholds are distances of 1.0 to 1.1, cosines of 0.5 to 0.4; ArcFace packs are used at about 0.3.
LIMITS = {"FaceNet": (0.4, 0.6), "ArcFace": (0.2, 0.4)}


def compare(a: Identity, b: Identity) -> tuple[float, str]:
    """FaceNet cosine (-1..1) of the two, averaged over their photos, and what it means; ArcFace too where both have it.
    Raises InputError where one has no face or the encoders differ."""
    for name, identity in (("identity_a", a), ("identity_b", b)):
        require(bool(identity.present.any()), name, "must hold a face to compare", "none", "use a photo with a visible face")
    require_same_encoder(a, b)
    one, other = average(a), average(b)
    similarity = _cosine(one.global_embedding, other.global_embedding)
    lines = [_sentence("FaceNet", similarity)]
    if one.arcface is not None and other.arcface is not None:
        lines.append(_sentence("ArcFace", _cosine(one.arcface, other.arcface)))
    if len(a) > 1 or len(b) > 1:
        lines.append(f"Averages of {int(a.present.sum())} and {int(b.present.sum())} faces were compared.")
    return similarity, "\n".join(lines)


def _cosine(a: Tensor, b: Tensor) -> float:
    return float((a.double() * b.double()).sum() / (a.double().norm() * b.double().norm()).clamp(min=1e-12))


def _sentence(network: str, cosine: float) -> str:
    low, high = LIMITS[network]
    meaning = ("two different people, most likely" if cosine < low else
               "the same person, most likely" if cosine >= high else "undecided, a lookalike or the same person in another light")
    return f"{network} cosine {cosine:.3f} (1 is identical; above {high} the same person, below {low} different people): {meaning}."
