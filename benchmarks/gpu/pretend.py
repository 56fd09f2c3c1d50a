"""A card that is not there: tensors that say they lie on CUDA and keep their numbers in the processor's memory.

So that what crosses between card and processor can be counted, and code that mixes the two be caught, on any machine. Operations on
them run on the processor and give more of their kind. As on a real card, mixing them with tensors of the processor is an error
but for single numbers and indices, and whatever asks for a number waits.
"""
from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

CARD, HOME = torch.device("cuda", 0), torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / folder) for folder in ("caphuman_core", "nodes"))
aten = torch.ops.aten
TO_CARD, TO_HOME, WAIT = "to the card", "from the card", "a number asked for"
SIZED_BY_NUMBERS = (aten.nonzero.default, aten.equal.default, aten.masked_select.default, aten._unique2.default,
                    aten.unique_consecutive.default, aten.repeat_interleave.Tensor)
INDEXED = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default)


@dataclass(frozen=True)
class Crossing:
    """Something that went from card to processor or back, or made the processor wait."""

    way: str                             # TO_CARD, TO_HOME, WAIT
    bytes: int
    place: str                           # file:line of the pack that asked for it


@dataclass
class Crossings:
    """All of a block."""

    seen: list[Crossing] = field(default_factory=list)

    def note(self, way: str, amount: int) -> None:
        """Add one, with the line of the pack that it comes from."""
        frame = next((one for one in reversed(traceback.extract_stack()) if one.filename.startswith(OURS)), None)
        place = f"{Path(frame.filename).relative_to(ROOT).as_posix()}:{frame.lineno}" if frame else "the host"
        self.seen.append(Crossing(way, amount, place))


class OnCard(torch.Tensor):
    """A tensor of the pretended card. `numbers` holds what it stands for."""

    numbers: torch.Tensor

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> OnCard:
        made = torch.Tensor._make_wrapper_subclass(
            cls, numbers.size(), strides=numbers.stride(), storage_offset=numbers.storage_offset(), dtype=numbers.dtype,
            device=CARD, requires_grad=False)
        made.numbers = numbers
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _active.dispatched(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Catches what makes tensors on the card, or brings the processor's there."""

    def __init__(self, crossings: Crossings) -> None:
        super().__init__()
        self.crossings = crossings

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.dispatched(func, args, kwargs or {})

    def dispatched(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Run an operation on the numbers, and see what crossed."""
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        cards = [value for value in given if isinstance(value, OnCard)]
        there = bool(cards) if kwargs.get("device") is None else torch.device(kwargs["device"]).type == CARD.type
        self._look(func, args, given, cards, there)
        numbers_args, numbers_kwargs = tree_map_only(OnCard, lambda value: value.numbers, (args, kwargs))
        if numbers_kwargs.get("device") is not None:
            numbers_kwargs["device"] = HOME
        numbers_kwargs.pop("pin_memory", None)
        out = 0 if func is aten._fused_sdp_choice.default else func(*numbers_args, **numbers_kwargs)
        if not there:
            return out.clone() if isinstance(out, torch.Tensor) and func is aten._to_copy.default and cards else out
        known = {id(value.numbers): value for value in cards}       # an operation in place gives back the very tensor

        def carried(value: torch.Tensor) -> torch.Tensor:
            return known[id(value)] if id(value) in known else OnCard(value)
        return tree_map_only(torch.Tensor, carried, out)

    def _look(self, func: Any, args: tuple, given: list[torch.Tensor], cards: list[OnCard], there: bool) -> None:
        amount = sum(value.numel() * value.element_size() for value in given[:1])
        if func is aten._local_scalar_dense.default and cards:
            self.crossings.note(WAIT, amount)
        elif func is aten.copy_.default:
            to, of = (isinstance(value, OnCard) for value in args[:2])
            if to != of:
                self.crossings.note(TO_CARD if to else TO_HOME, args[1].numel() * args[1].element_size())
        elif func is aten._to_copy.default:
            if there != bool(cards):
                self.crossings.note(TO_CARD if there else TO_HOME, amount)
        elif cards and len(cards) != len(given):
            self._mixed(func, args, given)
        if func in SIZED_BY_NUMBERS and cards:              # the processor has to know how many there are
            self.crossings.note(WAIT, 8)

    def _mixed(self, func: Any, args: tuple, given: list[torch.Tensor]) -> None:
        """Tensors of both in one operation."""
        strangers = [value for value in given if not isinstance(value, OnCard) and value.dim()]
        if func in INDEXED:
            for value in strangers:
                self.crossings.note(TO_CARD, value.numel() * value.element_size())
        elif strangers:
            raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found cuda:0 and cpu")


class _FromLists(TorchFunctionMode):
    """Tensors made of Python's numbers, and back: torch would ask the driver. Each is a copy."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.tolist and isinstance(args[0], OnCard):
            return args[0].cpu().tolist()
        device = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and device is not None and torch.device(device).type == CARD.type:
            del kwargs["device"]
            return func(*args, **kwargs).to(CARD)
        if func is torch.Tensor.new_tensor and isinstance(args[0], OnCard):
            return torch.tensor(args[1], **{"dtype": args[0].dtype, **kwargs}).to(CARD)
        return func(*args, **kwargs)


class _NoCard:
    """Outside of a block an OnCard has no card to be on."""

    def dispatched(self, func: Any, args: tuple, kwargs: dict) -> Any:
        raise RuntimeError("tensors of the pretended card may be used within `a_card` only")


_active: Any = _NoCard()


@contextlib.contextmanager
def a_card() -> Iterator[Crossings]:
    """Within the block there is a card, "cuda:0"; what crosses to it and from it is kept."""
    global _active
    torch._C._ensureCUDADeviceGuardSet()             # torch's own fake tensors need it too where there is no driver
    before, crossings = _active, Crossings()
    _active = _Mode(crossings)
    with mock.patch("torch.cuda._lazy_init", return_value=None), mock.patch("torch.cuda.current_device", return_value=0), \
            torch.backends.cudnn.flags(enabled=False), _FromLists(), _active:
        try:
            yield crossings
        finally:
            _active = before


def put(module: torch.nn.Module) -> torch.nn.Module:
    """A module with its weights on the card; `a_card` has to be active."""
    for inner in module.modules():
        for name, value in inner._parameters.items():
            if value is not None and not isinstance(value, OnCard):
                inner._parameters[name] = torch.nn.Parameter(value.detach().to(CARD), requires_grad=False)
        for name, value in inner._buffers.items():
            if value is not None and not isinstance(value, OnCard):
                inner._buffers[name] = value.to(CARD)
    return module
