"""Every text of the pack that a browser shows, and the files it reads in each language: web/texts/<language>.json, help pages."""
from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..devkit.places import ROOT
from . import build, help_pages
from .server_texts import server_texts

HELP = ROOT / "web" / "docs"
EDITOR = ROOT / "web" / "editor" / "text.js"
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
NUMBERED = re.compile(r"\d+ ")           # before a group's title
NOTE = "MarkdownNote"
HEADINGS = ("input", "output", "what it is")
DOCTOR = ("Press Run: it says what to do next.", "What is there, what is missing")        # of web/doctor.js
SENTENCE = "{name} {rule}, but got {got}: {fix}."        # of an error: web/language.js takes it apart and says it again


def editor_texts() -> set[str]:
    """The words of the head editor: whatever stands in quotes in its one file of them."""
    source = re.sub(r"^import .*$", "", EDITOR.read_text(encoding="utf-8"), flags=re.M)
    source = re.sub(r'"\s*\+ "', "", source)          # one text on two lines
    return {text.replace('\\"', '"') for text in QUOTED.findall(source)}


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
    return page_texts(graphs, parts) | server_texts() | help_texts() | {*HEADINGS}


def page_texts(graphs: Iterable[dict[str, Any]], notes_said: set[str]) -> set[str]:
    """What the pack's own JavaScript says."""
    return editor_texts() | index_texts() | graph_texts(graphs) | notes_said | {SENTENCE, *DOCTOR}


def files(graphs: Iterable[dict[str, Any]], languages: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Language -> content of web/texts/<language>.json: the templates' list, and for others than English every text."""
    graphs, index = list(graphs), build.index()
    made: dict[str, dict[str, Any]] = {"en": {"languages": ["en", *sorted(languages)], "templates": index}}
    for language, texts in languages.items():
        listed = [{key: texts.get(value, value) if key != "name" else value for key, value in entry.items()} for entry in index]
        patterns = {text: texts[text] for text in sorted(server_texts()) if text in texts}
        parts = {part for note in notes(graphs) for part in note_parts(note, texts)}
        used = {text: texts[text] for text in sorted(page_texts(graphs, parts)) if text in texts}
        made[language] = {"templates": listed, "texts": used, "patterns": patterns}
    return made


def help_page(node: str, definition: dict[str, Any], texts: dict[str, str]) -> str:
    """A node's page in another language, from the English one and its translated entry in locales/."""
    page = help_pages.translated((HELP / f"{node}.md").read_text(encoding="utf-8"), definition, texts)
    # The pages name nodes as their English titles; a longer one may begin with a shorter.
    for title in sorted((title for title in texts if title.startswith("CapHuman ") and "{" not in title), key=len, reverse=True):
        page = page.replace(f"*{title}*", f"*{texts[title]}*")
    return page


def help_texts() -> set[str]:
    """What all pages say beside inputs and outputs."""
    return {text for page in HELP.glob("*.md") for text in help_pages.texts_of(page.read_text(encoding="utf-8"))}
