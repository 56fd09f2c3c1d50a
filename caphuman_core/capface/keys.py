"""CapFace's weight file: recognised by its keys, read strictly, nothing else brought into memory."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..check import fail
from ..files.telltale import CAPFACE_PREFIX, DIFFUSERS_CONTROLNET_KEY, HINT_KEY, MASK_KEY
from ..files.weights import read_state_dict
from ..flow import HINT_CHANNELS

if TYPE_CHECKING:
    from torch import Tensor

PROJECTIONS = ("id_linear.", "img_linear.")     # of the context; never prefixed
BLOCKS = ("time_embed.", "input_blocks.", "input_hint_block.", "zero_convs.", "middle_block.", "middle_block_out.",
          "mask_predict.")
# A file with one of these is a full training checkpoint: what lies beside CapFace in it is not CapFace's.
OTHER_PARTS = ("model.", "first_stage_model.", "cond_stage_model.", "control_cond_stage_model.")
FIX = "put CapHuman's caphuman.ckpt, or a file converted from it with python -m caphuman_core.convert, in its place"


def is_capface_key(key: str) -> bool:
    """Whether a key of a checkpoint belongs to CapFace, with or without the `control_model.` prefix."""
    return key.startswith((CAPFACE_PREFIX, *PROJECTIONS, *BLOCKS))


def plain_key(key: str) -> str:
    """The key without the `control_model.` prefix: the name in the network."""
    return key.removeprefix(CAPFACE_PREFIX)


def read_capface(path: str | Path) -> dict[str, Tensor]:
    """CapFace's tensors by their names in the network, in the file's dtype.

    path: caphuman.ckpt (full training checkpoint) or CapFace alone, .ckpt or .safetensors. Tensors of
    other networks in the file are never read. Raises InputError for a missing or truncated file, an
    ordinary ControlNet, a checkpoint without CapFace, and for keys that belong to nothing known.
    Whether every parameter is filled is checked by `weights.load_strict` against the network.
    """
    path = Path(path)
    seen: list[str] = []

    def keep(key: str) -> bool:
        seen.append(key)
        return is_capface_key(key)

    found = read_state_dict(path, "CapFace", keep)
    name = f"CapFace file '{path.name}'"
    state = {plain_key(key): value for key, value in found.items()}
    _refuse_other_files(name, state, seen)
    _refuse_unknown_keys(name, state, found, seen)
    return state


def _refuse_other_files(name: str, state: dict[str, Tensor], seen: Iterable[str]) -> None:
    rule = "must hold CapFace weights (a 9-channel hint, mask_predict, id_linear and img_linear)"
    seen = list(seen)
    channels = state[HINT_KEY].shape[1] if HINT_KEY in state and state[HINT_KEY].dim() == 4 else None
    plain_net = MASK_KEY not in state and not any(key.startswith(PROJECTIONS) for key in state)
    if DIFFUSERS_CONTROLNET_KEY in seen or (channels is not None and (channels != HINT_CHANNELS or plain_net)):
        width = f"a {channels}-channel hint" if channels else "diffusers keys"
        fail(name, rule, f"an ordinary ControlNet ({width})",
             "load that one with the host's Load ControlNet Model node, and " + FIX)
    if not state:
        what = ("a Stable Diffusion checkpoint without CapFace" if any(key.startswith(OTHER_PARTS) for key in seen)
                else f"{len(seen)} other tensors" + (f" such as '{seen[0]}'" if seen else ""))
        fail(name, rule, what, FIX)


def _refuse_unknown_keys(name: str, state: dict[str, Tensor], found: dict[str, Tensor], seen: list[str]) -> None:
    full = any(key.startswith(OTHER_PARTS) for key in seen)
    unknown = [] if full else sorted(key for key in seen if not is_capface_key(key))
    twice = sorted({plain_key(key) for key in found if key.startswith(CAPFACE_PREFIX) and plain_key(key) in found})
    whole = sorted(key for key, value in state.items() if not value.is_floating_point())
    for label, keys in (("unknown", unknown), ("given twice", twice), ("not of a float type", whole)):
        if keys:
            more = f" and {len(keys) - 6} more" if len(keys) > 6 else ""
            fail(name, "must hold exactly the weights of CapFace", f"{label}: {', '.join(keys[:6])}{more}", FIX)
