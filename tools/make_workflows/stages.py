"""Parts that many graphs share. Each makes its nodes and says how they stand in columns; the template frames them."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import public_files as files
from .graph import Graph, Workflow
from .layout import WIDE
from .node import Column, Node, Output

# Colours of groups, by what happens in them.
PHOTO, HEAD, IDENTITY, PROMPT, SAMPLE, EXTRA = "#3f789e", "#88aa88", "#a1309b", "#b58b2a", "#b06634", "#5a6a7a"
NECK = 0.5                   # neck_share of the edited heads: as a person turns
Socket = Node | Output


@dataclass(frozen=True)
class Photo:
    """A photo and the faces in it."""

    image: Socket
    faces: Socket
    detector: Node
    columns: list[Column]


@dataclass(frozen=True)
class Fitted:
    """A head laid over a photo's face."""

    head: Socket
    model: Node
    columns: list[Column]


@dataclass(frozen=True)
class Drawn:
    """A rendered head and its pictures."""

    render: Node
    columns: list[Column]


@dataclass(frozen=True)
class Who:
    """An identity and the networks it came from."""

    identity: Node
    encoder: Node
    clip_vision: Node
    columns: list[Column]


@dataclass(frozen=True)
class Prompt:
    """What the picture shall show, and the checkpoint that draws it."""

    model: Socket
    clip: Socket
    vae: Socket
    positive: Socket
    negative: Socket
    columns: list[Column]


@dataclass(frozen=True)
class Sampled:
    """A sampled picture."""

    latent: Socket
    image: Node
    columns: list[Column]


def photo(graph: Graph, title: str = "Photo", image: str = files.SAMPLE, detector: Node | None = None,
          found: str = "Face taken", most: int = 1) -> Photo:
    """Load a photo and find its largest face (`most` of them, 0 for all); with `detector`, by one that is already there."""
    loaded = graph.node("CapHumanLoadPhoto", title, image=image)
    made = detector or graph.node("CapHumanLoadFaceDetector")
    faces = graph.node("CapHumanDetectFaces", image=loaded, detector=made, max_faces=most)
    shown = graph.node("PreviewImage", found, images=faces["preview"])
    return Photo(loaded, faces, made, [[loaded] if detector else [loaded, made], [faces, shown]])


def picture(graph: Graph, title: str = "Picture", image: str = files.SECOND_SAMPLE) -> Photo:
    """Load a picture to be changed, resize it to what Stable Diffusion 1.5 draws well, and find its face."""
    loaded = graph.node("CapHumanLoadPhoto", title, image=image)
    resized = graph.node("ImageScaleToTotalPixels", "Resize", image=loaded, upscale_method="lanczos", megapixels=0.4,
                         resolution_steps=64)
    made = graph.node("CapHumanLoadFaceDetector")
    faces = graph.node("CapHumanDetectFaces", image=resized, detector=made, max_faces=1)
    shown = graph.node("PreviewImage", "Face of the picture", images=faces["preview"])
    return Photo(resized, faces, made, [[loaded, resized, made], [faces, shown]])


def fitted(graph: Graph, seen: Photo, model: Node | None = None, title: str = "Fitted head over the photo",
           refine: bool = False) -> Fitted:
    """Fit a head by landmarks, and refine it; with `model`, of a head model that is already there."""
    made = model or graph.node("CapHumanLoadHeadModel")
    fit = graph.node("CapHumanFitHeadLandmarks", image=seen.image, faces=seen.faces, head_model=made)
    if not refine:
        shown = graph.node("PreviewImage", title, images=fit["overlay"])
        return Fitted(fit, made, [[fit, shown] if model else [made, fit, shown]])
    better = graph.node("CapHumanRefineHead", image=seen.image, faces=seen.faces, head=fit, head_model=made)
    shown = graph.node("PreviewImage", title, images=better["overlay"])
    return Fitted(better, made, [[fit, better] if model else [made, fit, better], [shown]])


def edited(graph: Graph, fit: Fitted, image: Socket | None = None, title: str | None = None, **inputs: Any) -> Node:
    """Edit a head by hand, on a neck that turns as a person's does; with `image` behind it in the editor."""
    known = "photo" in graph.object_info["CapHumanEditHead"]["input"].get("optional", {})
    behind: dict[str, Any] = {"photo": image} if image and known else {}
    return graph.node("CapHumanEditHead", title, head=fit.head, head_model=fit.model, neck_share=NECK, **behind, **inputs)


def drawn(graph: Graph, head: Socket, model: Node, size: tuple[int, int] = (512, 512), pictures: bool = True) -> Drawn:
    """Render a head at `size` (width, height); with pictures of what CapFace sees."""
    render = graph.node("CapHumanRenderHead", head=head, head_model=model, width=size[0], height=size[1])
    small: dict[str, Any] = {"size": (240, 270)}
    normal, albedo, shaded = (graph.node("PreviewImage", title, images=render[name], **small) for title, name in (
        ("Normals", "normal"), ("Albedo", "albedo"), ("Shaded", "shaded"))) if pictures else (None, None, None)
    if normal is None or albedo is None or shaded is None:
        return Drawn(render, [[render]])
    return Drawn(render, [[render, normal], [shaded, albedo]])


def who(graph: Graph, seen: Photo, like: Who | None = None) -> Who:
    """Read who the face belongs to; with `like`, by networks that are already there."""
    encoder = like.encoder if like else graph.node("CapHumanLoadIdentityEncoder", model_name=files.FACENET)
    clip = like.clip_vision if like else graph.node("CLIPVisionLoader", clip_name=files.CLIP_VISION)
    identity = graph.node("CapHumanEncodeIdentity", image=seen.image, faces=seen.faces, identity_encoder=encoder, clip_vision=clip)
    return Who(identity, encoder, clip, [[identity]] if like else [[encoder, clip], [identity]])


def prompt(graph: Graph, text: str, negative: str = "blurry, low quality, deformed", checkpoint: str = files.CHECKPOINT) -> Prompt:
    """A checkpoint and the two texts."""
    loaded = graph.node("CheckpointLoaderSimple", ckpt_name=checkpoint)
    wanted = graph.node("CLIPTextEncode", "Prompt", text=text, clip=loaded["CLIP"])
    unwanted = graph.node("CLIPTextEncode", "Negative prompt", text=negative, clip=loaded["CLIP"])
    return Prompt(loaded, loaded["CLIP"], loaded["VAE"], wanted, unwanted, [[loaded], [wanted, unwanted]])


def texts(graph: Graph, text: str, negative: str = "blurry, low quality, deformed") -> list[Node]:
    """The two texts as nodes of their own, for graphs that say them to several checkpoints."""
    return [graph.node("PrimitiveStringMultiline", title, (WIDE, 160), value=value)
            for title, value in (("The prompt", text), ("The negative prompt", negative))]


def capface(graph: Graph, said: Prompt, identity: Socket, hint: Socket, network: Socket | None = None, after: Node | None = None,
            title: str | None = None, **inputs: Any) -> Node:
    """Put a person into the prompt's conditioning, or behind another Apply node (`after`)."""
    network = network or graph.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    positive, negative = (after["positive"], after["negative"]) if after else (said.positive, said.negative)
    return graph.node("CapHumanApplyCapFace", title, positive=positive, negative=negative, capface=network, identity=identity,
                      hint=hint, model=said.model, **inputs)


def empty(graph: Graph, size: tuple[int, int] = (512, 512), count: int = 1) -> Node:
    """An empty latent of width x height pixels."""
    return graph.node("EmptyLatentImage", width=size[0], height=size[1], batch_size=count)


def sampled(graph: Graph, said: Prompt, conditioning: Node, latent: Socket, prefix: str | None, title: str = "Portrait",
            model: Socket | None = None, denoise: float = 1.0, steps: int = 25) -> Sampled:
    """Sample, decode and, with a file name prefix, save."""
    both: dict[str, Any] = {side: conditioning[side] for side in ("positive", "negative")}
    sampler = graph.node("KSampler", model=model or said.model, **both, latent_image=latent, seed=42, steps=steps, cfg=7.5,
                         sampler_name="ddim", scheduler="ddim_uniform", denoise=denoise)
    decoded = graph.node("VAEDecode", samples=sampler, vae=said.vae)
    first: Column = [latent] if isinstance(latent, Node) and latent.type == "EmptyLatentImage" else []
    columns: list[Column] = [[*first, sampler, decoded]]
    if prefix is not None:
        columns.append([graph.node("SaveImage", title, images=decoded, filename_prefix=f"caphuman/{prefix}")])
    return Sampled(sampler, decoded, columns)


def notes(workflow: Workflow, text: str, model_files: tuple[str, ...]) -> list[Node]:
    """Two notes: how the graph works, and which files it needs."""
    needed = "\n".join(f"- {files.needed(name)}" for name in model_files)
    return [workflow.note("How this works", text), workflow.note("Model files", f"# Model files\n\n{needed}\n\n{files.ADVICE}")]


def explained(workflow: Workflow, text: str, model_files: tuple[str, ...]) -> None:
    """The two notes at the left edge."""
    workflow.loose(notes(workflow, text, model_files))
