"""Small bugs in a Python file: what each would change, as text. It imports nothing of the pack and runs nothing.

Each operator looks at one node of the syntax tree and offers texts to stand in its place: a flipped sign, `<` for `<=`,
swapped arguments, an off-by-one number, a statement left out, the other name of a pair.

What means nothing is left alone or changed by more:
- texts for people (docstrings, what an f-string puts together), annotations, decorators, imports, `if TYPE_CHECKING`;
- the order of what has none: the arguments of min, hypot and the like (ORDERLESS);
- a whole number of thousands is somebody's limit, and 399 999 for 400 000 is the same limit: it is doubled and halved, while any
  other whole number becomes one more and one less;
- a float up to a millionth keeps a division from zero, and twice as much does so too: it becomes 0.
"""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ARITHMETIC: dict[type, type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift}
COMPARISONS: dict[type, tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,)}
PAIRS = (("min", "max"), ("amin", "amax"), ("argmin", "argmax"), ("minimum", "maximum"), ("sin", "cos"), ("floor", "ceil"),
         ("any", "all"), ("sum", "mean"), ("zeros", "ones"), ("zeros_like", "ones_like"), ("log", "exp"), ("width", "height"),
         ("left", "right"), ("top", "bottom"), ("low", "high"), ("start", "end"), ("first", "last"), ("first", "second"),
         ("rows", "columns"), ("row", "column"), ("x", "y"), ("y", "z"), ("a", "b"), ("b", "c"), ("one", "other"),
         ("source", "target"), ("before", "after"), ("near", "far"), ("yaw", "pitch"), ("yaw_degrees", "roll_degrees"))
PARTNERS = {name: {b if name == a else a for a, b in PAIRS if name in (a, b)} for pair in PAIRS for name in pair}
ORDERLESS = {"min", "max", *(f"{library}.{name}" for library in ("torch", "np", "math")   # whose arguments have no order
                             for name in ("minimum", "maximum", "hypot", "equal", "array_equal", "gcd"))}
THOUSAND, MILLIONTH = 1000, 1e-6
NOT_MUTATED = (ast.JoinedStr, ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Mutation:
    """One small bug: bytes start..end of a file replaced."""

    line: int                            # counted from 1
    function: int                        # first line of the function it lies in, decorators included; 0: outside of all
    start: int
    end: int
    old: str
    new: str

    def applied(self, source: bytes) -> bytes:
        """The file with this bug."""
        return source[:self.start] + self.new.encode() + source[self.end:]


def mutations(source: bytes) -> list[Mutation]:
    """Every small bug the operators know for a file, in the order of its text; a few of them may not parse."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, function in _walk(ast.parse(source), 0, frozenset()):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        old = source[start:end].decode()
        found += [Mutation(node.lineno, function.line, start, end, old, new) for operator in OPERATORS
                  for new in operator(node, function.names)]
    return list(dict.fromkeys(found))


def parses(source: bytes) -> bool:
    """Whether Python takes the text."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


@dataclass(frozen=True)
class _Scope:
    """The function a node lies in."""

    line: int
    names: frozenset[str]


def _walk(node: ast.AST, line: int, names: frozenset[str]) -> Iterator[tuple[ast.expr | ast.stmt, _Scope]]:
    """Nodes that may be changed, each with its outermost function."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not line:
        line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        names = frozenset(one.id for one in ast.walk(node) if isinstance(one, ast.Name)) | {a.arg for a in node.args.args}
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, NOT_MUTATED) or _is_for_people(child) or _is_guard(child):
                continue
            if isinstance(child, (ast.expr, ast.stmt)):
                yield child, _Scope(line, names)
            yield from _walk(child, line, names)


def _is_for_people(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_guard(node: ast.AST) -> bool:
    """`if TYPE_CHECKING` and `if __name__ == "__main__"`."""
    return isinstance(node, ast.If) and any(isinstance(one, ast.Name) and one.id in ("TYPE_CHECKING", "__name__")
                                            for one in ast.walk(node.test))


def _text(node: ast.AST) -> str:
    return f"({ast.unparse(ast.fix_missing_locations(node))})"


def _arithmetic(node: ast.AST, _: frozenset[str]) -> Iterator[str]:
    """+ for -, * for /, the factors of a matrix product swapped; in `a += b` too."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield _text(ast.BinOp(node.right, node.op, node.left))
    elif isinstance(node, ast.BinOp) and not any(isinstance(side, (ast.JoinedStr, ast.List, ast.Tuple)) or _is_string(side)
                                                 for side in (node.left, node.right)):
        yield _text(ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right))
    elif isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield ast.unparse(ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value))


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def _comparison(node: ast.AST, _: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield _text(ast.Compare(node.left, [*node.ops[:place], other(), *node.ops[place + 1:]], node.comparators))


def _logic(node: ast.AST, _: frozenset[str]) -> Iterator[str]:
    """and for or; `not`, minus and ~ left out; a condition turned round."""
    if isinstance(node, ast.BoolOp):
        yield _text(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
    elif isinstance(node, ast.UnaryOp):
        yield _text(node.operand)
    elif isinstance(node, ast.IfExp):
        yield _text(ast.IfExp(node.test, node.orelse, node.body))


def _condition(node: ast.AST, _: frozenset[str]) -> Iterator[str]:
    """`if` as if its condition never, or always, held."""
    if isinstance(node, (ast.If, ast.While)):
        for answer in ((False,) if isinstance(node, ast.While) else (True, False)):
            changed = ast.parse(ast.unparse(node)).body[0]
            assert isinstance(changed, (ast.If, ast.While))  # noqa: S101  (parsed from one)
            changed.test = ast.Constant(answer)
            yield ast.unparse(changed).replace("\n", "\n" + " " * node.col_offset)


def _constant(node: ast.AST, _: frozenset[str]) -> Iterator[str]:
    """True for False; whole numbers one more and one less, thousands twice and half of it; others doubled, tiny ones 0."""
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        limit = value and value % THOUSAND == 0
        yield from (f"({other})" for other in ((value * 2, value // 2) if limit else (value + 1, value - 1)))
    elif isinstance(value, float):
        yield "(0.0)" if 0 < value <= MILLIONTH else f"({value * 2 or 1.0!r})"


def _arguments(node: ast.AST, _: frozenset[str]) -> Iterator[str]:
    """Neighbouring positional arguments, or the elements of a returned tuple, swapped."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) not in ORDERLESS:
        for swapped in _swaps(node.args):
            yield _text(ast.Call(node.func, swapped, node.keywords))
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        for swapped in _swaps(node.value.elts):
            yield ast.unparse(ast.Return(ast.Tuple(swapped, ast.Load())))


def _swaps(nodes: list[ast.expr]) -> Iterator[list[ast.expr]]:
    for place in range(len(nodes) - 1):
        one, other = nodes[place:place + 2]
        if not isinstance(one, ast.Starred) and not isinstance(other, ast.Starred) and ast.dump(one) != ast.dump(other):
            yield [*nodes[:place], other, one, *nodes[place + 2:]]


def _names(node: ast.AST, names: frozenset[str]) -> Iterator[str]:
    """The other one of a pair: min for max, width for height, x for y; a variable only where the other is one too."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        yield from (f"{ast.unparse(node.value)}.{other}" for other in sorted(PARTNERS.get(node.attr, ())))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        builtin = {"min", "max", "any", "all"}
        yield from (other for other in sorted(PARTNERS.get(node.id, ())) if other in names or {other, node.id} <= builtin)
    elif isinstance(node, ast.Call):
        for place, keyword in enumerate(node.keywords):
            for other in sorted(PARTNERS.get(keyword.arg or "", ())):
                yield _text(ast.Call(node.func, node.args, [*node.keywords[:place], ast.keyword(other, keyword.value),
                                                            *node.keywords[place + 1:]]))


def _dropped(node: ast.AST, _: frozenset[str]) -> Iterator[str]:
    """A statement that changes something already there, left out."""
    changes = isinstance(node, (ast.AugAssign, ast.Raise, ast.Continue, ast.Break)) \
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) \
        or (isinstance(node, ast.Assign) and _is_change(node))
    if changes:
        yield "pass"


def _is_change(node: ast.Assign) -> bool:
    """Of an element or attribute, or of a variable by its own value."""
    target = node.targets[0]
    own = isinstance(target, ast.Name) and any(isinstance(one, ast.Name) and one.id == target.id for one in ast.walk(node.value))
    return own or isinstance(target, (ast.Subscript, ast.Attribute))


Operator = Callable[[ast.AST, "frozenset[str]"], "Iterator[str]"]
OPERATORS: tuple[Operator, ...] = (_arithmetic, _comparison, _logic, _condition, _constant, _arguments, _names, _dropped)
