"""One image as a prompt for a server: the workflow with its slots filled, and the parameters that the picture carries."""
from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from . import png
from .plan import OUTPUT_SLOT, ImageRecord, Plan, image_file

TEXT_KEY = "caphuman_bench"


def inputs_of(plan: Plan, record: ImageRecord) -> list[str]:
    """Files, relative to the run folder, that the image's prompt needs on the server."""
    head = plan.head(record.head)
    forms = {target.form for target in plan.slots["head"]}
    photo = [plan.identity(record.identity).reference] if plan.slots["identity"] else []
    return [*photo, *([head.file] if "file" in forms else []), *([head.picture] if "picture" in forms else [])]


def upload_name(plan: Plan, path: str) -> str:
    """A file's name on servers: by its content, so that runs never meet, and flat, as every pack's loaders list it."""
    suffix = ".head.safetensors" if path.endswith(".head.safetensors") else PurePosixPath(path).suffix
    return f"caphuman_bench_{plan.hashes.get(path, 'unknown')[:24]}{suffix}"


def prompt_of(plan: Plan, record: ImageRecord, names: Mapping[str, str]) -> dict[str, Any]:
    """The workflow with the slots of one image filled. names: file in the run folder -> what the server calls it."""
    prompt = copy.deepcopy(dict(plan.workflow))
    head = plan.head(record.head)
    plain = {"identity": names.get(plan.identity(record.identity).reference), "prompt": plan.prompt(record.prompt).text,
             "seed": record.seed}
    for slot, value in plain.items():
        for target in plan.slots[slot]:
            prompt[target.node]["inputs"][target.input] = value
    for target in plan.slots["head"]:
        if target.form == "values":
            prompt[target.node]["inputs"].update(head.values)
        else:
            prompt[target.node]["inputs"][target.input] = names[head.file if target.form == "file" else head.picture]
    _name_outputs(prompt, plan, record)
    return prompt


def _name_outputs(prompt: dict[str, Any], plan: Plan, record: ImageRecord) -> None:
    """A folder of its own for each unit: the host lists a whole folder at each save."""
    for node in prompt.values():
        if isinstance(node["inputs"].get("filename_prefix"), str):
            node["inputs"]["filename_prefix"] = f"caphuman_bench/{plan.digest}/{image_file(record, '')[7:]}"


def output_node(plan: Plan) -> str | None:
    """The node whose picture is kept: the slot `image`, else the only Save Image; None: whichever gives one."""
    if OUTPUT_SLOT in plan.slots:
        return plan.slots[OUTPUT_SLOT][0].node
    savers = [key for key, node in plan.workflow.items() if "SaveImage" in node["class_type"].replace(" ", "")]
    return savers[0] if len(savers) == 1 else None


def parameters(plan: Plan, record: ImageRecord) -> dict[str, Any]:
    """What a picture carries under TEXT_KEY: which image of which plan it is."""
    return {"plan": plan.digest, "id": record.id, "identity": record.identity, "head": record.head, "prompt": record.prompt,
            "text": plan.prompt(record.prompt).text, "sample": record.sample, "seed": record.seed}


def with_parameters(content: bytes, plan: Plan, record: ImageRecord) -> bytes:
    """The picture with its parameters, which the host has put there unless its metadata is off. ValueError if damaged."""
    if TEXT_KEY in png.text(content):
        return content
    return png.with_text(content, TEXT_KEY, json.dumps(parameters(plan, record)))


def is_image_of(path: Path, plan: Plan, record: ImageRecord) -> bool:
    """Whether a file is the whole picture of that image of that plan."""
    try:
        return json.loads(png.text(path.read_bytes()).get(TEXT_KEY, "null")) == parameters(plan, record)
    except (OSError, ValueError):
        return False
