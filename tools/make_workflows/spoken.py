"""Every text of the pack that a browser shows, and the files it reads in each language: web/texts/<language>.json, help pages."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from ..devkit.places import ROOT
from . import build

EDITOR = ROOT / "web" / "editor" / "text.js"
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
NUMBERED = re.compile(r"\d+ ")           # before a group's title
NOTE = "MarkdownNote"
HEADINGS = ("input", "output", "what it is")
SENTENCE = "{name} {rule}, but got {got}: {fix}."        # of an error: web/language.js takes it apart and says it again


def editor_texts() -> set[str]:
    """The words of the head editor: whatever stands in quotes in its one file of them."""
    source = re.sub(r"^import .*$", "", EDITOR.read_text(encoding="utf-8"), flags=re.M)
    source = re.sub(r'"\s*\+ "', "", source)          # one text on two lines
    return {text.replace('\\"', '"') for text in QUOTED.findall(source)}


def error_texts() -> set[str]:
    """Rules and fixes of the pack's errors as their source says them, {} for what is filled in."""
    files = [path for folder in ("caphuman_core", "nodes") for path in (ROOT / folder).rglob("*.py")]
    calls = [call for path in files for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(call, ast.Call)]
    return {text for call in calls for text in _rule_and_fix(call)}


def _rule_and_fix(call: ast.Call) -> list[str]:
    """Of a call of check.fail or check.require: the texts of its rule and its fix, where they stand in the call."""
    named = call.func.id if isinstance(call.func, ast.Name) else ""
    if named not in ("fail", "require"):
        return []
    parts = call.args[named == "require":]
    return [text for part in (parts[1], parts[3]) if (text := _literal(part))] if len(parts) == 4 else []


def _literal(part: ast.expr) -> str:
    if isinstance(part, ast.JoinedStr):
        return "".join(str(value.value) if isinstance(value, ast.Constant) else "{}" for value in part.values)
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""


def index_texts() -> set[str]:
    """Titles and sentences of the templates' list."""
    return {text for entry in build.index() for text in (entry["title"], entry["description"])}


def graph_texts(graphs: Iterable[dict[str, Any]]) -> set[str]:
    """Titles of nodes and groups, and labels of sockets that are not the schema's own; no notes."""
    texts = set()
    for graph in graphs:
        parts = graph.get("definitions", {}).get("subgraphs", [])
        texts |= {NUMBERED.sub("", group["title"], count=1) for group in graph.get("groups", [])}
        texts |= {node["title"] for each in (graph, *parts) for node in each["nodes"] if node.get("title")}
        texts |= {end["label"] for part in parts for end in (*part["inputs"], *part["outputs"]) if end.get("label")}
    return texts


def notes(graphs: Iterable[dict[str, Any]]) -> set[str]:
    """The notes as they stand."""
    return {node["widgets_values"][0] for graph in graphs for node in graph["nodes"] if node["type"] == NOTE}


def note_parts(note: str, texts: dict[str, str]) -> set[str]:
    """What of a note is to be translated: the whole, or else each of its lines."""
    return {note} if note in texts else {line for line in note.split("\n") if line.strip()}


def all_texts(graphs: Iterable[dict[str, Any]], texts: dict[str, str]) -> set[str]:
    """Everything but the nodes' own texts, which the frontend reads from locales/."""
    graphs = list(graphs)
    parts = {part for note in notes(graphs) for part in note_parts(note, texts)}
    return editor_texts() | error_texts() | index_texts() | graph_texts(graphs) | parts | {*HEADINGS, SENTENCE}


def files(graphs: Iterable[dict[str, Any]], languages: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Language -> content of web/texts/<language>.json: the templates' list, and for others than English every text."""
    graphs, index = list(graphs), build.index()
    made: dict[str, dict[str, Any]] = {"en": {"languages": ["en", *sorted(languages)], "templates": index}}
    for language, texts in languages.items():
        listed = [{key: texts.get(value, value) if key != "name" else value for key, value in entry.items()} for entry in index]
        errors = {text: texts[text] for text in sorted(error_texts()) if text in texts}
        used = {text: texts[text] for text in sorted(all_texts(graphs, texts)) if text in texts and text not in errors}
        made[language] = {"templates": listed, "texts": used, "errors": errors}
    return made


def help_page(node: str, definition: dict[str, Any], texts: dict[str, str]) -> str:
    """A node's page in another language, from its translated entry in locales/: what it is, its inputs, its outputs."""
    told = [f"# {definition['display_name']}", definition["description"], f"![{definition['display_name']}](pictures/{node}.jpg)"]
    for heading, key in (("input", "inputs"), ("output", "outputs")):
        rows = [f"| {entry['name']} | {entry['tooltip']} |" for entry in definition[key].values()]
        head = f"| {texts.get(heading, heading)} | {texts.get('what it is', 'what it is')} |\n|---|---|\n"
        told += [head + "\n".join(rows)] if rows else []
    return "\n\n".join(told) + "\n"
