"""From a request to the pictures in the output folder."""
from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from ..devkit.places import say
from . import contact_sheet, gallery, miniature, progress, prompts
from .client import Client, Prompt, Refused, Result


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
    weights, output = request["weights"], Path(request["output"])
    size = prompts.picture_size(*shown_size(photo))
    async with Client(request["url"]) as client:
        name = await client.upload(photo, f"demo-photo{photo.suffix.lower()}")
        if weights["miniature"]:
            await miniature.run(client, name, weights, output)
        else:
            await _portrait(client, photo, name, request)
        portraits = not (weights["miniature"] or prompts.is_noise(weights))
        sheets = await gallery.make(prompts.portrait_prompt(name, *size, weights),
                                    lambda sheet: client.run(sheet, lambda kind, data: None), output / "gallery", not portraits)
    say(f"gallery: {', '.join(file.name for file in sheets)} in {output.name}/gallery")
    return 0


async def _portrait(client: Client, photo: Path, name: str, request: dict[str, Any]) -> None:
    """The shipped graph once, with edited heads beside it; its pictures and sheet in the output folder."""
    weights, size = request["weights"], prompts.picture_size(*shown_size(photo))
    noise = prompts.is_noise(weights)
    prompt = prompts.portrait_prompt(name, *size, weights, prompts.NOISE_SAMPLING if noise else None)
    prompt, previews = prompts.with_edits(prompt)
    say(f"running the graph on {photo.name}" + (
        " - some networks are UNTRAINED, so the sampled picture will be noise; every picture before the sampler is real"
        if noise else ""))
    if weights["cpu"]:
        say("sampling on the processor takes " + ("a minute or two" if noise else "many minutes; a graphics card, seconds"))
    bar = progress.Bar(prompt)
    try:
        result = await client.run(prompt, bar)
    finally:
        bar.close()
    save(prompt, previews, result, Path(request["output"]), noise)


def save(prompt: Prompt, previews: list[str], result: Result, folder: Path, noise: bool) -> None:
    """Write every picture, the timings and the contact sheet."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for index, (node, pictures) in enumerate(sorted(result.images.items(), key=lambda item: _order(prompt, item[0])), 1):
        is_sampled = prompt[node]["class_type"] == "SaveImage"
        title = f"{prompts.NOISE}-portrait" if noise and is_sampled else _slug(progress.Bar(prompt).title(node))
        for frame, data in enumerate(pictures):
            (folder / f"{index:02d}-{title}{f'-{frame}' if frame else ''}.png").write_bytes(data)
    seconds = {progress.Bar(prompt).title(node): round(value, 3) for node, value in result.seconds.items()}
    timings = {"total_seconds": round(result.total_seconds, 2), "node_seconds": seconds, "untrained": noise,
               "made": time.strftime("%Y-%m-%d %H:%M:%S")}
    (folder / "timings.json").write_text(json.dumps(timings, indent=1), encoding="utf-8")
    sheet = contact_sheet.make(prompt, previews, result, [caption for caption, _ in prompts.EDITS], noise)
    sheet.save(folder / "contact_sheet.png")
    say(f"done in {result.total_seconds:.0f} s: {folder.name}/contact_sheet.png and {len(result.images)} pictures beside it")
    if noise:
        say(f"the sampled picture is {prompts.NOISE}-portrait.png, and noise: put real model files into the folders that README.md "
            "lists")


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

