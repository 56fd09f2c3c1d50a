"""A pickle's program, run by hand: it can build plain data only, and what it may cost is bounded before it runs.

Python's own unpickler trusts a file with the work: a kilobyte of nested duplicates as a dictionary's key is hashed for minutes.
Here every name is resolved by the caller, keys are texts and small integers, and a `Budget` ends what costs too much.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any, NoReturn

from .pickle_opcodes import opcodes

MOST_OPCODES = 400_000                   # FLAME's files have some hundred; half a second of reading
MOST_ITEMS = 400_000                     # in containers that are copied or looked through, each time
MOST_BYTES = 256 << 20                   # of arrays that are made anew, beyond the file's own
LARGEST_KEY = 1 << 53                    # integers below it have hashes of their own
LONGEST_KEY = 4                          # parts of a key that is a tuple

Make = Callable[..., Any]                # (budget, *arguments) -> what a name of a pickle stands for


class TooMuch(ValueError):
    """A file that would cost more than its kind can need."""

    def __init__(self, what: str) -> None:
        super().__init__(f"a pickle built to exhaust memory or time: {what}")


@dataclass
class Budget:
    """What is left of the work that reading one file may cost."""

    opcodes: int = MOST_OPCODES
    items: int = MOST_ITEMS
    bytes: int = MOST_BYTES

    def take_items(self, count: int) -> None:
        """Before `count` items are copied or looked at."""
        self.items -= count
        if self.items < 0:
            raise TooMuch("too many items")

    def take_bytes(self, count: int) -> None:
        """Before `count` bytes are allocated."""
        self.bytes -= count
        if count < 0 or self.bytes < 0:
            raise TooMuch("arrays of more bytes than any such file has")


@dataclass(frozen=True)
class Name:
    """A name that a pickle refers to, and what calling it gives."""

    module: str
    name: str
    make: Make


class Opaque:
    """Takes the place of an object that nobody needs; keeps nothing of what it is made of or told."""


def opaque(*_: Any) -> Opaque:
    """A `Make` for names whose objects nobody needs."""
    return Opaque()


def check_key(key: Any) -> Any:
    """The key of a dictionary or member of a set, if hashing it costs nothing; TooMuch for any other."""
    if isinstance(key, tuple) and len(key) <= LONGEST_KEY and not any(isinstance(part, tuple) for part in key):
        for part in key:
            check_key(part)
        return key
    if key is None or isinstance(key, (str, bytes, float, Name, Opaque)) or (isinstance(key, int) and abs(key) < LARGEST_KEY):
        return key
    raise TooMuch(f"a key of type {type(key).__name__}")


class Machine:
    """Runs one pickle. resolve: (module, name) -> Make, raises for names that are not allowed.
    persistent: what a persistent reference stands for."""

    def __init__(self, resolve: Callable[[str, str], Make], budget: Budget,
                 persistent: Callable[[Any], Any] | None = None) -> None:
        self._resolve, self._budget, self._persistent = resolve, budget, persistent
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, file: IO[bytes]) -> Any:
        """What the pickle at the file's place describes. ValueError (TooMuch) or what `resolve` raises for others."""
        for name, argument in opcodes(file):
            self._budget.opcodes -= 1
            if self._budget.opcodes < 0:
                raise TooMuch("too many steps")
            if name in _PUSHED:
                self._stack.append(argument)
            elif name in _CONSTANT:
                self._stack.append(_CONSTANT[name]())
            elif name == "STOP":
                return self._end()
            elif name not in ("PROTO", "FRAME"):
                _STEPS.get(name, _unknown)(self, argument)
        raise ValueError("it has no end")

    def _end(self) -> Any:
        if len(self._stack) != 1 or self._marks:
            raise ValueError("it ends with something half made")
        return self._stack.pop()

    # --- the stack

    def mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _last(self, count: int) -> tuple[Any, ...]:
        items = tuple(self._stack[len(self._stack) - count:])
        if len(items) != count:
            raise ValueError("its stack is empty")
        del self._stack[len(self._stack) - count:]
        return items

    def pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._marked()

    def pop_mark(self, _: Any) -> None:
        self._marked()

    def dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    # --- the memo

    def put(self, place: int) -> None:
        if not 0 <= place <= MOST_OPCODES:
            raise TooMuch("a memo index without end")
        self._memo[place] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    # --- containers

    def tuple_of(self, count: int) -> None:
        self._stack.append(self._last(count))

    def make_tuple(self, _: Any) -> None:
        items = self._marked()
        self._stack.append(tuple(items))

    def make_list(self, _: Any) -> None:
        items = self._marked()
        self._stack.append(items)

    def make_dict(self, _: Any) -> None:
        items = self._marked()
        self._stack.append({})
        self._into_dict(items)

    def make_frozenset(self, _: Any) -> None:
        items = self._marked()
        self._stack.append(frozenset(map(check_key, items)))

    def append(self, _: Any) -> None:
        self._into_list(self._last(1))

    def appends(self, _: Any) -> None:
        self._into_list(self._marked())

    def _into_list(self, items: Iterable[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)
        elif not isinstance(self._stack[-1], Opaque):
            raise ValueError("it appends to what is no list")

    def add_items(self, _: Any) -> None:
        items = self._marked()
        if not isinstance(self._stack[-1], set):
            raise ValueError("it adds to what is no set")
        self._stack[-1].update(map(check_key, items))

    def set_item(self, _: Any) -> None:
        items = self._last(2)
        self._into_dict(items)

    def set_items(self, _: Any) -> None:
        items = self._marked()
        self._into_dict(items)

    def _into_dict(self, items: Sequence[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict) and len(items) % 2 == 0:
            target.update(zip(map(check_key, items[::2]), items[1::2], strict=True))
        elif not isinstance(target, Opaque):
            raise ValueError("it sets items of what is no dictionary")

    # --- names and objects

    def name(self, both: str) -> None:
        self._push_name(*both.split(" ", 1))

    def stack_name(self, _: Any) -> None:
        self._push_name(*self._last(2))

    def _push_name(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("a name that is no text")
        self._stack.append(Name(module, name, self._resolve(module, name)))

    def reduce(self, _: Any) -> None:
        name, arguments = self._last(2)
        self._call(name, arguments)

    def new_object(self, _: Any) -> None:
        name, arguments = self._last(2)
        self._call(name, arguments)

    def new_object_ex(self, _: Any) -> None:
        name, arguments, named = self._last(3)
        if named:
            raise ValueError("an object made with named arguments")
        self._call(name, arguments)

    def _call(self, name: Any, arguments: Any) -> None:
        if not (isinstance(name, Name) and isinstance(arguments, tuple)):
            raise ValueError("it calls what is no name")
        self._stack.append(name.make(self._budget, *arguments))

    def build(self, _: Any) -> None:
        """State of an object: stand-ins take it by `build(budget, state)`; a dictionary's attributes are dropped."""
        (state,) = self._last(1)
        target = self._stack[-1]
        if hasattr(target, "build"):
            target.build(self._budget, state)
        elif not isinstance(target, (dict, Opaque)):
            raise ValueError("it gives a state to what has none")

    def refer(self, argument: Any) -> None:
        """A persistent reference, by its text or from the stack."""
        key = self._last(1)[0] if argument is None else argument
        if self._persistent is None:
            raise ValueError("a persistent reference")
        self._stack.append(self._persistent(key))


def _unknown(_machine: Machine, _argument: Any) -> NoReturn:
    raise ValueError("an opcode that no such file has")


_PUSHED = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING",
                     "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
                     "BINUNICODE8", "FLOAT", "BINFLOAT"})
_CONSTANT: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple, "EMPTY_LIST": list,
    "EMPTY_DICT": dict, "EMPTY_SET": set}
_STEPS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": Machine.mark, "POP": Machine.pop, "POP_MARK": Machine.pop_mark, "DUP": Machine.dup,
    "PUT": Machine.put, "BINPUT": Machine.put, "LONG_BINPUT": Machine.put, "MEMOIZE": Machine.memoize,
    "GET": Machine.get, "BINGET": Machine.get, "LONG_BINGET": Machine.get,
    "TUPLE": Machine.make_tuple, "TUPLE1": lambda machine, _: machine.tuple_of(1), "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3), "LIST": Machine.make_list, "DICT": Machine.make_dict,
    "FROZENSET": Machine.make_frozenset,
    "APPEND": Machine.append, "APPENDS": Machine.appends, "ADDITEMS": Machine.add_items, "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items, "GLOBAL": Machine.name, "STACK_GLOBAL": Machine.stack_name, "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.new_object, "NEWOBJ_EX": Machine.new_object_ex, "BUILD": Machine.build,
    "PERSID": Machine.refer, "BINPERSID": Machine.refer}
