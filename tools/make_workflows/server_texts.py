"""What the pack's Python says to people while it runs (errors, notes, the doctor's report), read from its source.

A text is a pattern: what is filled in while running is {}. web/language.js finds the pattern that a sentence was made from, says it
in the page's language, and does the same with what was filled in. So a text may be put together from others.
"""
from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product

from caphuman_core.files.catalogue import plain

from ..devkit.places import ROOT

FOLDERS = ("caphuman_core", "nodes")
# Files whose every sentence is for people: the doctor's report, and notes of nodes.
CATALOGUE = "caphuman_core/files/catalogue.py"
WHOLE = ("caphuman_core/files/doctor.py", CATALOGUE, "caphuman_core/files/recognising.py", "caphuman_core/head/face_size.py")
HOLE = "{}"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Source:
    """The parsed files, and where their names come from."""

    trees: dict[str, ast.Module]
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    functions: dict[str, list[Function]] = field(default_factory=dict)
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)       # of dataclasses
    constants: dict[str, list[ast.expr]] = field(default_factory=dict)      # of all modules, and by module:
    own: dict[tuple[ast.AST, str], ast.expr] = field(default_factory=dict)
    given: dict[Function, dict[str, list[ast.expr]]] = field(default_factory=dict)
    calls: dict[str, list[ast.Call]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for tree in self.trees.values():
            for node in ast.walk(tree):
                self.parents.update(dict.fromkeys(ast.iter_child_nodes(node), node))
                self._note(node)
            for statement in tree.body:
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    self.constants.setdefault(statement.targets[0].id, []).append(statement.value)
                    self.own[tree, statement.targets[0].id] = statement.value

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, Function):
            self.functions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.ClassDef):
            self.fields[node.name] = tuple(line.target.id for line in node.body
                                           if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name))
        elif isinstance(node, ast.Call) and called(node):
            self.calls.setdefault(called(node), []).append(node)

    def constant(self, name: ast.Name) -> list[ast.expr]:
        """What a name of a module may stand for: its own module's, or whatever another one exports by that name."""
        root: ast.AST = name
        while root in self.parents:
            root = self.parents[root]
        return [self.own[root, name.id]] if (root, name.id) in self.own else self.constants.get(name.id, [])

    def values(self, function: Function) -> dict[str, list[ast.expr]]:
        """What the names in a function are given."""
        if function not in self.given:
            self.given[function] = {}
            for line in (each for each in ast.walk(function) if isinstance(each, ast.Assign)):
                for target, value in assigned(line):
                    if isinstance(target, ast.Name):
                        self.given[function].setdefault(target.id, []).append(value)
        return self.given[function]

    def function_around(self, node: ast.AST) -> Function | None:
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, Function):
                return node
        return None


def called(call: ast.Call) -> str:
    """The name of what is called, without the module before it; "" for anything else."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def assigned(line: ast.Assign) -> list[tuple[ast.expr, ast.expr]]:
    """What a line gives values to, and which; a, b = 1, 2 is two."""
    target, value = line.targets[0], line.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(each, value) for each in line.targets]


@cache
def source() -> Source:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return Source({path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths})


class Reader:
    """Follows an expression to the texts it may be."""

    def __init__(self, code: Source) -> None:
        self.code = code
        self.aside: set[str] = set()                     # texts that are filled into others
        self.known: dict[ast.AST | None, set[str]] = {}

    def read(self, node: ast.AST | None) -> set[str]:
        """The texts; {HOLE} alone where the source does not tell."""
        if node not in self.known:
            self.known[node] = {HOLE}                    # until it is known: functions may call each other
            self.known[node] = self._read(node)
        return self.known[node]

    def _read(self, node: ast.AST | None) -> set[str]:
        if isinstance(node, ast.Constant):
            return {node.value} if isinstance(node.value, str) else {HOLE}
        if isinstance(node, ast.IfExp):
            return self.read(node.body) | self.read(node.orelse)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return {left + right for left, right in product(self.read(node.left), self.read(node.right))}
        if isinstance(node, ast.JoinedStr):
            return {"".join(parts) for parts in product(*(self._part(part) for part in node.values))}
        return (self._named(node) if node is not None else set()) or {HOLE}

    def _part(self, part: ast.expr) -> set[str]:
        if not isinstance(part, ast.FormattedValue):
            return self.read(part)
        if isinstance(part.value, ast.IfExp):
            return self.read(part.value)
        self.aside |= self.read(part.value)
        return {HOLE}

    def _named(self, node: ast.AST) -> set[str]:
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Call):
            return {text for function in self.code.functions.get(called(node), [])
                    for text in self._returned(function)} if isinstance(node.func, ast.Name) else set()
        if isinstance(node, ast.Attribute):
            return {text for name, fields in self.code.fields.items() if node.attr in fields
                    for call in self.code.calls.get(name, []) for text in self._argument(call, fields, node.attr)}
        return set()

    def _returned(self, function: Function) -> Iterator[str]:
        for node in ast.walk(function):
            if isinstance(node, ast.Return):
                yield from self.read(node.value)

    def _name(self, node: ast.Name) -> set[str]:
        around = self.code.function_around(node)
        while around is not None:
            if values := self.code.values(around).get(node.id):
                return {text for value in values for text in self.read(value)}
            parameters = tuple(each.arg for each in (*around.args.posonlyargs, *around.args.args))
            if node.id in parameters:
                return {text for call in self.code.calls.get(around.name, []) for text in self._argument(call, parameters, node.id)}
            around = self.code.function_around(around)
        return self._constant(node)

    def _constant(self, name: ast.Name) -> set[str]:
        return {text for value in self.code.constant(name) for text in self.read(value)}

    def _argument(self, call: ast.Call, parameters: tuple[str, ...], name: str) -> set[str]:
        named = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
        place = parameters.index(name)
        if named is None and place < len(call.args):
            named = call.args[place]
        return self.read(named) if named is not None else set()


def is_text(text: str) -> bool:
    """Whether there is anything to translate: a word of people's language, not a name, an address or a command."""
    words = re.findall(r"[A-Za-z]{2,}", text.replace(HOLE, " "))
    return bool(words) and " " in text.strip() and not text.startswith(("http", "pip install"))


def refusals(code: Source) -> Iterator[tuple[str, ast.Call]]:
    """The calls of check.fail and check.require outside check.py."""
    for kind in ("fail", "require"):
        for call in code.calls.get(kind, []):
            if len(call.args) == 4 + (kind == "require"):
                yield kind, call


def error_parts() -> tuple[set[str], set[str]]:
    """Texts of the errors' rules and fixes; and those of names and of what came."""
    reader, said, about = Reader(source()), set[str](), set[str]()
    for kind, call in refusals(source()):
        name, rule, got, fix = call.args[kind == "require":]
        said |= reader.read(rule) | {text.rstrip(".") for text in reader.read(fix)}
        about |= reader.read(name) | reader.read(got)
    return said, about | reader.aside


def module_texts(names: Iterable[str] = WHOLE) -> set[str]:
    """Every sentence of whole files but what documents them; the doctor says its table without Markdown."""
    reader, found = Reader(source()), set[str]()
    for name in names:
        tree = source().trees[name]
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, (ast.Constant, ast.JoinedStr)) and id(node) not in documents | inner:
                found |= {plain(text) if name == CATALOGUE else text for text in reader.read(node)}
    return found


@cache
def server_texts() -> frozenset[str]:
    """All of them that hold words."""
    said, about = error_parts()
    return frozenset(text for text in said | about | module_texts() if is_text(text))
