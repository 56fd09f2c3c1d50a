"""What `demo --serve` puts into the server's folders, so that the graph runs as it is opened."""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from .places import ROOT, VENV

WORKFLOW = ROOT / "workflows" / "portrait_from_photo.json"
LOADERS = {"CheckpointLoaderSimple": "checkpoint", "CapHumanLoadCapFace": "capface", "CLIPVisionLoader": "clip_vision",
           "CapHumanLoadIdentityEncoder": "facenet"}       # their first widget is the file's name
SIZED = ("CapHumanRenderHead", "EmptyLatentImage")         # their first widgets are width and height


def lay_out(base: Path, photo: Path | None, weights: dict[str, Any]) -> str:
    """Save the workflow with this machine's model files and a photo among the user's; returns its name.

    Pictures of the miniature have the size that it was trained for, and words that it knows.
    """
    miniature = weights["miniature"]
    texts = iter([miniature["text"], ""] if miniature else [])
    source = photo or next(VENV.rglob("skimage/data/astronaut.png"))
    name = f"demo-photo{source.suffix.lower()}"
    shutil.copyfile(source, base / "input" / name)
    graph = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    for node in graph["nodes"]:
        if node["type"] in LOADERS:
            node["widgets_values"][0] = weights[LOADERS[node["type"]]]["name"]
            node["properties"].pop("models", None)
        elif miniature and node["type"] in SIZED:
            node["widgets_values"][:2] = [miniature["side"]] * 2
        elif miniature and node["type"] == "CLIPTextEncode":         # positive, then negative
            node["widgets_values"][0] = next(texts)
        elif node["type"] == "CapHumanLoadPhoto":
            node["widgets_values"][0] = name
    target = base / "user" / "default" / "workflows" / WORKFLOW.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(graph, indent=2), encoding="utf-8")
    return target.stem
