"""Which base models CapFace can steer, said in one sentence when it is another."""
from __future__ import annotations

from typing import Any

from comfy.supported_models import SD15

from ...caphuman_core.capface.spec import SPEC
from ...caphuman_core.check import fail

# Names users know, for the host's configuration classes.
FAMILIES = {
    "SD20": "Stable Diffusion 2", "SD21UnclipL": "Stable Diffusion 2.1 unCLIP", "SD21UnclipH": "Stable Diffusion 2.1 unCLIP",
    "SDXL": "SDXL", "SDXLRefiner": "SDXL Refiner", "SSD1B": "SSD-1B (SDXL)", "Segmind_Vega": "Segmind Vega (SDXL)",
    "SD3": "Stable Diffusion 3", "Flux": "Flux", "FluxSchnell": "Flux Schnell", "FluxInpaint": "Flux Fill", "Flux2": "Flux 2",
    "SVD_img2vid": "Stable Video Diffusion", "SV3D_u": "SV3D", "SV3D_p": "SV3D",
}
SHAPE = {"context_dim": SPEC.context, "model_channels": SPEC.width, "adm_in_channels": None, "use_temporal_attention": False}


def require_sd15(base: Any, name: str) -> None:
    """Refuse a base model whose UNet is not SD 1.5's, naming what came.

    base: the host's BaseModel (a patcher's `.model`). Merges, LoRAs, inpainting variants and AnimateDiff
    keep SD 1.5's configuration. Raises InputError.
    """
    config = getattr(base, "model_config", None)
    unet = getattr(config, "unet_config", None) or {}
    shape_fits = all(unet.get(key) == value for key, value in SHAPE.items()) and _levels(unet) in (SPEC.levels, None)
    if isinstance(config, SD15) and shape_fits:
        return
    kind = type(config).__name__ if config is not None else type(base).__name__
    found = FAMILIES.get(kind, kind)
    if isinstance(config, SD15):
        found = f"an SD 1.5 variant of another shape ({', '.join(f'{key} {unet.get(key)}' for key in SHAPE)})"
    fail(name, "must be a Stable Diffusion 1.5 checkpoint, which is what CapFace was trained for", found,
         "load an SD 1.5 checkpoint (merges and LoRAs of one are fine), or take CapHuman Apply CapFace out of this graph")


def _levels(unet: dict) -> tuple | None:
    levels = unet.get("channel_mult")
    return tuple(levels) if levels is not None else None
