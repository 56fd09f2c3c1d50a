"""The graph of workflows/portrait_from_photo.json as a prompt: with a photo, with files, and with more edits of the head."""
from __future__ import annotations

import copy
import json
from typing import Any

from ..devkit.places import ROOT
from .client import Prompt

WORKFLOW = ROOT / "workflows" / "api" / "portrait_from_photo.json"
NOISE = "UNTRAINED-noise"
NOISE_SAMPLING = {"steps": 2, "cfg": 1.0}    # more steps, and a second pass of the network in each, make other noise
# Three further edits of the fitted head for the contact sheet: caption, inputs of CapHumanEditHead.
EDITS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("turned right, looking up", {"yaw_degrees": 35.0, "pitch_degrees": 12.0}),
    ("turned left, smiling", {"yaw_degrees": -30.0, "smile": 1.0}),
    ("tilted, mouth open", {"roll_degrees": 15.0, "jaw_degrees": 15.0}),
)
# Where a model file's name goes: loader node -> its input, the role in tools/stand_ins/untrained_weights.py.
MODEL_INPUTS = {"CheckpointLoaderSimple": ("ckpt_name", "checkpoint"), "CapHumanLoadCapFace": ("capface_name", "capface"),
                "CLIPVisionLoader": ("clip_name", "clip_vision"), "CapHumanLoadIdentityEncoder": ("model_name", "facenet")}


def nodes_of(prompt: Prompt, class_type: str) -> list[str]:
    """Ids of the nodes of one class, in the graph's order."""
    return [node for node, entry in prompt.items() if entry["class_type"] == class_type]


def only(prompt: Prompt, class_type: str) -> dict[str, Any]:
    """The inputs of the one node of a class."""
    (node,) = nodes_of(prompt, class_type)
    return prompt[node]["inputs"]


def portrait_prompt(photo: str, width: int, height: int, weights: dict[str, Any], sampling: dict[str, Any] | None = None) -> Prompt:
    """The shipped graph with this photo, these model files and a picture of width x height pixels.

    sampling: inputs of the sampler that differ from the workflow's.
    """
    prompt = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    only(prompt, "CapHumanLoadPhoto")["image"] = photo
    for class_type, (name, role) in MODEL_INPUTS.items():
        only(prompt, class_type)[name] = weights[role]["name"]
    for class_type in ("CapHumanRenderHead", "EmptyLatentImage"):
        only(prompt, class_type).update(width=width, height=height)
    only(prompt, "KSampler").update(sampling or {})
    if is_noise(weights):
        only(prompt, "SaveImage")["filename_prefix"] = f"{NOISE}-portrait"
    return prompt


def is_noise(weights: dict[str, Any]) -> bool:
    """Whether any network between the photo and the sampled picture is untrained."""
    return any(weights[role]["untrained"] for _, role in MODEL_INPUTS.values())


def with_edits(prompt: Prompt) -> tuple[Prompt, list[str]]:
    """The prompt with a branch edit -> render -> preview for each of EDITS; and the ids of the previews."""
    prompt = copy.deepcopy(prompt)
    (edit,), (render,) = nodes_of(prompt, "CapHumanEditHead"), nodes_of(prompt, "CapHumanRenderHead")
    neutral = {name: 0.0 for name, value in prompt[edit]["inputs"].items() if isinstance(value, float) and name != "scale"}
    previews = []
    for index, (caption, change) in enumerate(EDITS, 1):
        ids = [f"{edit}-{index}", f"{render}-{index}", f"preview-{index}"]
        head = {**prompt[edit]["inputs"], **neutral, **change}
        drawn = {**prompt[render]["inputs"], "head": [ids[0], 0]}
        branch = (("CapHumanEditHead", head, "Edit head"), ("CapHumanRenderHead", drawn, "Render head"),
                  ("PreviewImage", {"images": [ids[1], 3]}, "Edited head"))
        for node, (class_type, inputs, title) in zip(ids, branch, strict=True):
            prompt[node] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": f"{title} {index}: {caption}"}}
        previews.append(ids[2])
    return prompt, previews


def picture_size(width: int, height: int, area: int = 512 * 512) -> tuple[int, int]:
    """The size to sample: the photo's shape with about `area` pixels, each side a multiple of 64 in 128..2048."""
    scale = (area / (width * height)) ** 0.5
    wide, high = (min(max(round(side * scale / 64) * 64, 128), 2048) for side in (width, height))
    return wide, high
