"""Every size of CapFace and of what it reads, in one place."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..flow import CLIP_TOKENS, HINT_CHANNELS

CELL = 8                                        # picture pixels in a latent cell, SD1.5
TOKENS = CLIP_TOKENS + 1                        # of the context: CLIP's, then the identity token


@dataclass(frozen=True)
class Spec:
    """The SD1.5 ControlNet layout with a 9-channel hint. Released weights have the defaults; others are narrower."""

    width: int = 320                            # channels of the first level
    levels: tuple[int, ...] = (1, 2, 4, 4)      # channel multipliers; attention in all but the last
    blocks: int = 2                             # of each level
    heads: int = 8
    context: int = 768                          # width of a context token
    latent_channels: int = 4
    hint_widths: tuple[int, ...] = (16, 16, 32, 32, 96, 96, 256)    # of the hint encoder's layers; the last has `width`

    @property
    def time_embedding(self) -> int:
        """Width of the time embedding."""
        return 4 * self.width

    @property
    def key_width(self) -> int:
        """Channels of the keys of all cross-attention layers together (the values have as many)."""
        attending = [level for level in self.levels[:-1] for _ in range(self.blocks)] + [self.levels[-1]]     # and the middle
        return self.width * sum(attending)

    def network(self) -> dict[str, Any]:
        """Arguments of the host's network of that shape (comfy.cldm.cldm.ControlNet)."""
        depth = [1] * self.blocks * (len(self.levels) - 1) + [0] * self.blocks
        return {"image_size": 32, "in_channels": self.latent_channels, "model_channels": self.width, "hint_channels": HINT_CHANNELS,
                "num_res_blocks": self.blocks, "channel_mult": self.levels, "transformer_depth": depth,
                "transformer_depth_middle": 1, "num_heads": self.heads, "num_head_channels": -1, "context_dim": self.context,
                "use_spatial_transformer": True, "use_linear_in_transformer": False, "legacy": False}


SPEC = Spec()
