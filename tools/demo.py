"""python demo.py REQUEST.json: the graph of workflows/portrait_from_photo.json on one photo, in a running server.

dev.py writes the request (address, photo, model files, where to put the pictures) and starts this in the private
environment.
"""
from __future__ import annotations

import asyncio
import copy
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import gallery
from comfy_client import Client, Prompt, Refused, Result
from devkit import terminal
from devkit.places import ROOT, say

WORKFLOW = ROOT / "workflows" / "api" / "portrait_from_photo.json"
NOISE = "UNTRAINED-noise"
NOISE_SAMPLING = {"steps": 2, "cfg": 1.0}    # more steps, and a second pass of the network in each, make other noise
# Three further edits of the fitted head for the contact sheet: caption, inputs of CapHumanEditHead.
EDITS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("turned right, looking up", {"yaw_degrees": 35.0, "pitch_degrees": 12.0}),
    ("turned left, smiling", {"yaw_degrees": -30.0, "smile": 1.0}),
    ("tilted, mouth open", {"roll_degrees": 15.0, "jaw_degrees": 15.0}),
)
# Where a model file's name goes: loader node -> its input, the role in tools/untrained_weights.py.
MODEL_INPUTS = {"CheckpointLoaderSimple": ("ckpt_name", "checkpoint"), "CapHumanLoadCapFace": ("capface_name", "capface"),
                "CLIPVisionLoader": ("clip_name", "clip_vision"), "CapHumanLoadIdentityEncoder": ("model_name", "facenet")}
WEIGHT = {"KSampler": 12.0}                 # of a node in the overall bar; others count 1


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
    only(prompt, "LoadImage")["image"] = photo
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
    return any(entry["untrained"] for entry in weights.values() if isinstance(entry, dict))


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


class Bar:
    """A progress bar fed by the server's messages; without a terminal, a line for each node that starts."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.live = sys.stdout.isatty()
        self.started: set[str] = set()
        self.done: set[str] = set()

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        """Take one message."""
        if kind == "execution_cached":
            self.done.update(data.get("nodes", []))
        elif kind == "progress_state":
            self.show(data["nodes"])

    def show(self, nodes: dict[str, Any]) -> None:
        """Draw the state of every node that has started."""
        total = sum(map(self.weight, self.prompt))
        share = sum(self.weight(node) for node in self.done if node in self.prompt)
        running = ""
        for node, state in nodes.items():
            if node in self.done:
                continue
            part = state["value"] / state["max"] if state["max"] else 0.0
            share += self.weight(node) * (1.0 if state["state"] == "finished" else part)
            if state["state"] == "running":
                running = self.title(node) + (f" {state['value']:.0f}/{state['max']:.0f}" if state["max"] > 1 else "")
                if node not in self.started and not self.live:
                    say(f"  {self.percent(share, total)} {running}")
                self.started.add(node)
        if self.live:
            filled = round(30 * share / total)
            terminal.rewrite(f"[{'#' * filled}{'.' * (30 - filled)}] {self.percent(share, total)} {running}")

    @staticmethod
    def percent(share: float, total: float) -> str:
        """As three figures and a sign."""
        return f"{100 * min(share / total, 1):3.0f}%"

    def weight(self, node: str) -> float:
        """How much of the bar is this node's."""
        return WEIGHT.get(self.prompt.get(node, {}).get("class_type", ""), 1.0)

    def title(self, node: str) -> str:
        """What the user calls the node."""
        entry = self.prompt.get(node, {})
        return entry.get("_meta", {}).get("title") or entry.get("class_type", node)

    def close(self) -> None:
        """Leave the terminal's line empty."""
        if self.live:
            terminal.rewrite("")


def open_photo(path: str | None) -> Path:
    """The photo to use; scikit-image's astronaut by default. ValueError with a sentence if it is no picture."""
    import skimage
    from PIL import Image
    photo = Path(path) if path else Path(skimage.__file__).parent / "data" / "astronaut.png"
    try:
        with Image.open(photo) as picture:
            picture.load()
    except Exception as error:          # Pillow raises many kinds, by format
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"--photo must name a picture that Pillow can read, but {photo.name} is not ({reason}): "
                         "save it as PNG or JPEG.") from error
    return photo


def shown_size(photo: Path) -> tuple[int, int]:
    """Width and height as Load Image will give them, camera rotation applied."""
    from PIL import Image, ImageOps
    with Image.open(photo) as picture:
        return ImageOps.exif_transpose(picture).size


async def run(request: dict[str, Any]) -> int:
    """Carry out a request; returns the exit status."""
    photo = open_photo(request["photo"])
    weights = request["weights"]
    noise = is_noise(weights)
    async with Client(request["url"]) as client:
        name = await client.upload(photo, f"demo-photo{photo.suffix.lower()}")
        prompt = portrait_prompt(name, *picture_size(*shown_size(photo)), weights, NOISE_SAMPLING if noise else None)
        prompt, previews = with_edits(prompt)
        say(f"running the graph on {photo.name}" + (
            " - some networks are UNTRAINED, so the sampled picture will be noise; every picture before the sampler is real"
            if noise else ""))
        if weights["cpu"]:
            say("sampling on the processor takes " + ("a minute or two" if noise else "many minutes; a graphics card, seconds"))
        bar = Bar(prompt)
        try:
            result = await client.run(prompt, bar)
        finally:
            bar.close()
        output = Path(request["output"])
        save(prompt, previews, result, output, noise)
        sheets = await gallery.make(portrait_prompt(name, *picture_size(*shown_size(photo)), weights),
                                    lambda sheet: client.run(sheet, lambda kind, data: None), output / "gallery", noise)
    say(f"gallery: {', '.join(file.name for file in sheets)} in {output.name}/gallery")
    return 0


def save(prompt: Prompt, previews: list[str], result: Result, folder: Path, noise: bool) -> None:
    """Write every picture, the timings and the contact sheet."""
    import contact_sheet
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for index, (node, pictures) in enumerate(sorted(result.images.items(), key=lambda item: _order(prompt, item[0])), 1):
        title = f"{NOISE}-portrait" if noise and prompt[node]["class_type"] == "SaveImage" else _slug(Bar(prompt).title(node))
        for frame, data in enumerate(pictures):
            (folder / f"{index:02d}-{title}{f'-{frame}' if frame else ''}.png").write_bytes(data)
    seconds = {Bar(prompt).title(node): round(value, 3) for node, value in result.seconds.items()}
    timings = {"total_seconds": round(result.total_seconds, 2), "node_seconds": seconds, "untrained": noise,
               "made": time.strftime("%Y-%m-%d %H:%M:%S")}
    (folder / "timings.json").write_text(json.dumps(timings, indent=1), encoding="utf-8")
    sheet = contact_sheet.make(prompt, previews, result, [caption for caption, _ in EDITS], noise)
    sheet.save(folder / "contact_sheet.png")
    say(f"done in {result.total_seconds:.0f} s: {folder.name}/contact_sheet.png and {len(result.images)} pictures beside it")
    if noise:
        say(f"the sampled picture is {NOISE}-portrait.png, and noise: put real model files into the folders that README.md lists")


def _order(prompt: Prompt, node: str) -> int:
    return list(prompt).index(node)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def main() -> int:
    """Failures are one sentence."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        return asyncio.run(run(request))
    except (Refused, ValueError) as failure:
        sys.stderr.write(f"demo: {failure}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
