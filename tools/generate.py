"""python generate.py URL: write the files that follow from others, as a running server sees the nodes.

workflows/api/*.json from workflows/*.json, and locales/en/nodeDefs.json from the nodes' schemas.
"""
from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from devkit.places import ROOT, say
from workflow_api import to_api

WORKFLOWS = ROOT / "workflows"
LOCALE = ROOT / "locales" / "en" / "nodeDefs.json"


def node_definitions(object_info: dict[str, Any]) -> dict[str, Any]:
    """The frontend's translation entries for every node of the pack, in English: what the schemas say."""
    return {name: _definition(info) for name, info in object_info.items() if name.startswith("CapHuman")}


def _definition(info: dict[str, Any]) -> dict[str, Any]:
    inputs = {}
    for kind in ("required", "optional"):
        for name, spec in info["input"].get(kind, {}).items():
            options = spec[1] if len(spec) > 1 else {}
            inputs[name] = {"name": options.get("display_name") or name, "tooltip": options.get("tooltip") or ""}
    outputs = {str(index): {"name": name, "tooltip": tooltip} for index, (name, tooltip) in
               enumerate(zip(info["output_name"], info["output_tooltips"], strict=True))}
    return {"display_name": info["display_name"], "description": info["description"], "inputs": inputs, "outputs": outputs}


def as_text(content: Any) -> str:
    """How both kinds of file are written."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(url: str) -> int:
    """Write everything; returns the exit status."""
    with urllib.request.urlopen(f"{url}/object_info", timeout=60) as answer:  # noqa: S310  (dev.py's own server)
        object_info = json.load(answer)
    files = {LOCALE: node_definitions(object_info)}
    for path in sorted(WORKFLOWS.glob("*.json")):
        files[WORKFLOWS / "api" / path.name] = to_api(json.loads(path.read_text(encoding="utf-8")), object_info)
    for path, content in files.items():
        path.write_text(as_text(content), encoding="utf-8")
        say(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].rstrip("/")))
