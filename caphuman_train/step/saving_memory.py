"""Gradient checkpointing: blocks keep their inputs alone and are computed again on the way back."""
from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpoint_blocks(network: Any, unet: Any) -> None:
    """Make CapFace's blocks and the UNet's decoder blocks (nothing else holds a graph) recompute themselves when a gradient
    passes. The numbers stay the same; a step takes about a third longer and holds far less."""
    for block in (*network.input_blocks, network.middle_block, *unet.output_blocks):
        _recompute(block)


def _recompute(block: nn.Module) -> None:
    block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)    # nothing here is random
