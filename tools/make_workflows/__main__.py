"""python -m tools.make_workflows URL: write the files that follow from others, as a running server sees the nodes.

workflows/*.json and subgraphs/*.json from templates/ and blueprints/ beside this file, workflows/api/*.json from the former;
locales/en/nodeDefs.json from the nodes' schemas, and the other languages from that and translations/<language>.json
(English text -> translation); web/texts/<language>.json, what the pack's own pages say and how templates are listed;
web/docs/<NodeId>/en.md, where the frontend looks first, from web/docs/<NodeId>.md, and the other languages' from the locales.
"""
from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from ..devkit.places import ROOT, say
from . import build, spoken
from .api_form import to_api
from .labels import words

WORKFLOWS = ROOT / "workflows"
SUBGRAPHS = ROOT / "subgraphs"
LOCALES = ROOT / "locales"
LOCALE = LOCALES / "en" / "nodeDefs.json"
TRANSLATIONS = ROOT / "tools" / "translations"
HELP = ROOT / "web" / "docs"
TEXTS = ROOT / "web" / "texts"


def node_definitions(object_info: dict[str, Any]) -> dict[str, Any]:
    """The frontend's translation entries for every node of the pack, in English: what the schemas say."""
    return {name: _definition(info) for name, info in object_info.items() if name.startswith("CapHuman")}


def _definition(info: dict[str, Any]) -> dict[str, Any]:
    inputs = {}
    for kind in ("required", "optional"):
        for name, spec in info["input"].get(kind, {}).items():
            options = spec[1] if len(spec) > 1 else {}
            inputs[name] = {"name": options.get("display_name") or words(name), "tooltip": options.get("tooltip") or ""}
    outputs = {str(index): {"name": words(name), "tooltip": tooltip} for index, (name, tooltip) in
               enumerate(zip(info["output_name"], info["output_tooltips"], strict=True))}
    return {"display_name": info["display_name"], "description": info["description"], "inputs": inputs, "outputs": outputs}


def translated(definitions: Any, texts: dict[str, str]) -> Any:
    """The same entries with every text translated; one without a translation stays English."""
    if isinstance(definitions, dict):
        return {key: translated(value, texts) for key, value in definitions.items()}
    return texts.get(definitions, definitions)


def untranslated(definitions: Any, texts: dict[str, str]) -> set[str]:
    """The texts that lack a translation."""
    if isinstance(definitions, dict):
        return {text for value in definitions.values() for text in untranslated(value, texts)}
    return {definitions} - texts.keys() - {""}


def translations() -> dict[str, dict[str, str]]:
    """Language -> English text -> translation."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(TRANSLATIONS.glob("*.json"))}


def as_text(content: Any) -> str:
    """How both kinds of file are written."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(url: str) -> int:
    """Write everything; returns the exit status."""
    with urllib.request.urlopen(f"{url}/object_info", timeout=60) as answer:  # noqa: S310  (dev.py's own server)
        object_info = json.load(answer)
    definitions = node_definitions(object_info)
    files = {LOCALE: definitions}
    for language, texts in translations().items():
        files[LOCALES / language / LOCALE.name] = translated(definitions, texts)
        for text in sorted(untranslated(definitions, texts)):
            say(f"no {language} translation of: {text}")
    graphs = build.workflows(object_info)
    for name, workflow in graphs.items():
        files[WORKFLOWS / f"{name}.json"] = workflow
        files[WORKFLOWS / "api" / f"{name}.json"] = to_api(workflow, object_info)
    for name, blueprint in build.subgraphs(object_info).items():
        files[SUBGRAPHS / f"{name}.json"] = blueprint
    for language, content in spoken.files(graphs.values(), translations()).items():
        files[TEXTS / f"{language}.json"] = content
    pages = {page.with_suffix("") / "en.md": page.read_text(encoding="utf-8") for page in sorted(HELP.glob("*.md"))}
    for language, texts in translations().items():
        for node, definition in translated(definitions, texts).items():
            pages[HELP / node / f"{language}.md"] = spoken.help_page(node, definition, texts)
        for text in sorted(spoken.all_texts(graphs.values(), texts) - texts.keys()):
            say(f"no {language} translation of: {text}")
    for path, text in {**{path: as_text(content) for path, content in files.items()}, **pages}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            say(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].rstrip("/")))
