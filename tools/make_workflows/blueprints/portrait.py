"""Draws a person with the head as posed: checkpoint, identity and head in, portrait out."""
from __future__ import annotations

from typing import Any

from .. import public_files as files
from ..blueprint import Blueprint

TITLE = "CapHuman Portrait"
PROMPT = "a photo of a person in a cafe, natural light, detailed face, 50mm"
NEGATIVE = "blurry, low quality, deformed"


def build(blueprint: Blueprint) -> None:
    """Describe the subgraph."""
    sockets = ("model", "MODEL"), ("clip", "CLIP"), ("vae", "VAE"), ("identity", "CAPHUMAN_IDENTITY"), ("head", "CAPHUMAN_HEAD"), (
        "head_model", "CAPHUMAN_HEAD_MODEL")
    model, clip, vae, identity, head, head_model = (blueprint.inlet(name, kind) for name, kind in sockets)
    texts = [blueprint.node("CLIPTextEncode", title, clip=clip, text=blueprint.inlet(name, "STRING", text))
             for title, name, text in (("Prompt", "prompt", PROMPT), ("Negative prompt", "negative_prompt", NEGATIVE))]
    capface = blueprint.node("CapHumanLoadCapFace", capface_name=blueprint.inlet("capface_name", "COMBO", files.CAPFACE))
    size: dict[str, Any] = {"width": blueprint.inlet("width", "INT", 512), "height": blueprint.inlet("height", "INT", 512)}
    drawn = blueprint.node("CapHumanRenderHead", head=head, head_model=head_model, **size)
    latent = blueprint.node("EmptyLatentImage", **size)
    apply = blueprint.node("CapHumanApplyCapFace", positive=texts[0], negative=texts[1], capface=capface, identity=identity,
                           hint=drawn, model=model, strength=blueprint.inlet("strength", "FLOAT", 1.0))
    sampler = blueprint.node("KSampler", model=model, positive=apply, negative=apply["negative"], latent_image=latent,
                             seed=blueprint.inlet("seed", "INT", 42), steps=blueprint.inlet("steps", "INT", 25),
                             cfg=blueprint.inlet("cfg", "FLOAT", 7.5), sampler_name="ddim", scheduler="ddim_uniform")
    decoded = blueprint.node("VAEDecode", samples=sampler, vae=vae)
    blueprint.outlet("image", decoded)
    blueprint.outlet("shaded", drawn["shaded"])
    blueprint.outlet("face_mask", apply["face_mask"])
    blueprint.place([*texts, capface], [drawn, latent], [apply], [sampler, decoded])
