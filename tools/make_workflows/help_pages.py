"""Help pages in other languages: the English page, block by block, with the inputs and outputs from the language's locale."""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Texts = dict[str, str]
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")
ITEM = re.compile(r"^- ", re.M)
CODE = re.compile(r"`[^`]*`")
TABLES = {"input": "inputs", "output": "outputs"}        # a table's first heading -> where the locale has its rows
WHAT = "what it is"


def blocks(page: str) -> list[str]:
    """A page's paragraphs, headings, lists, tables and pictures."""
    return [block for block in re.split(r"\n\s*\n", page.strip()) if block.strip()]


def rows(table: str) -> list[list[str]]:
    """A table's cells, headings first."""
    heading, _, *others = table.splitlines()
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in (heading, *others)]


def items(block: str) -> list[str]:
    """A list's items, each on one line."""
    return [one_line(item) for item in ITEM.split(block) if item.strip()]


def one_line(text: str) -> str:
    """Without the breaks and indents that the source needs."""
    return " ".join(text.split())


def is_locale_s(block: str) -> bool:
    """Whether a block is a table of inputs or outputs, which the locale's words fill."""
    return block.startswith("|") and rows(block)[0][0] in TABLES


def texts_of(page: str) -> set[str]:
    """What of a page is to be translated."""
    return {text for block in blocks(page) for text in _texts(block) if re.search("[A-Za-z]", CODE.sub("", text))}


def _texts(block: str) -> Iterator[str]:
    if block.startswith("# "):
        return
    if block.startswith("|"):
        yield from () if is_locale_s(block) else (cell for row in rows(block) for cell in row)
    elif ITEM.match(block):
        yield from items(block)
    elif picture := PICTURE.fullmatch(block):
        yield picture[1]
    else:
        yield one_line(block.lstrip("# "))


def translated(page: str, definition: dict[str, Any], texts: Texts) -> str:
    """The page in the language of `texts` and of the node's locale entry."""
    return "\n\n".join(_block(block, definition, texts) for block in blocks(page)) + "\n"


def _block(block: str, definition: dict[str, Any], texts: Texts) -> str:
    def say(text: str) -> str:
        return texts.get(text, text)
    if block.startswith("# "):
        return f"# {definition['display_name']}"
    if block.startswith("|"):
        own = [[say(cell) for cell in row] for row in rows(block)]
        return _table(_locale_rows(block, definition, texts) if is_locale_s(block) else own)
    if ITEM.match(block):
        return "\n".join(f"- {say(item)}" for item in items(block))
    if picture := PICTURE.fullmatch(block):
        return f"![{say(picture[1])}]({picture[2]})"
    marks = re.match(r"(#+ )?", block)[0]                # type: ignore[index]
    return marks + say(one_line(block[len(marks):]))


def _locale_rows(block: str, definition: dict[str, Any], texts: Texts) -> list[list[str]]:
    heading = rows(block)[0][0]
    entries = definition[TABLES[heading]].values()
    return [[texts.get(heading, heading), texts.get(WHAT, WHAT)], *([entry["name"], entry["tooltip"]] for entry in entries)]


def _table(cells: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], f"|{'---|' * len(cells[0])}", *lines[1:]])
