"""Two small faces of a picture drawn anew, each large and as its own person."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import public_files as files
from .. import stages
from ..graph import Node, Output, Workflow

GROW = 2.2                       # region in face boxes
TITLE = "Small faces, drawn anew"
HOW = """
# Detail two faces, each as their own person

Faces of fewer than 64 pixels come out mangled. Here each is cut out of the picture, drawn anew at 512 pixels and pasted back:

1. **Picture**: its faces are numbered from left to right.
2. **Who**: a photo of each person. *Transfer Head* gives the person's head the place, pose, expression and light of the face.
3. **Head in Region** grows the face's box to a region and takes the head into its frame. Render Head draws it at the size at
   which the region is sampled, *stretch* so that every pixel lies where the crop has it.
4. The region is cropped, enlarged, sampled at **denoise** 0.5 and pasted through a soft mask of the head.
5. The second face is detailed in the picture that the first one gave.

With the Impact Pack: connect its SEGS to *segs* of Head in Region, and one person's conditioning to a detailer for that one face.
"""


@dataclass(frozen=True)
class Person:
    """A face of the picture and who it shall be."""

    head: Node
    identity: stages.Who
    seen: stages.Photo


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    picture = _picture(workflow)
    model = workflow.node("CapHumanLoadHeadModel")
    workflow.group("1 The picture and its faces", stages.PHOTO, *picture.columns, [model])
    left = _person(workflow, picture, model, 0, "Left person", files.SAMPLE)
    right = _person(workflow, picture, model, 1, "Right person", files.SECOND_SAMPLE, left.identity)
    said = stages.prompt(workflow, "a photo of a person, detailed face, sharp focus")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    workflow.group("4 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    first = _detailed(workflow, picture.image, left, said, network, picture.faces["bboxes"], 0, model, "5 The left face")
    second = _detailed(workflow, first, right, said, network, picture.faces["bboxes"], 1, model, "6 The right face")
    saved = workflow.node("SaveImage", "Both faces detailed", images=second, filename_prefix="caphuman/detail_face")
    workflow.group("7 The picture", stages.SAMPLE, [saved])


@dataclass(frozen=True)
class Picture:
    """The picture to be detailed and its numbered faces."""

    image: Node
    faces: Node
    detector: Node
    columns: list[list[Node]]


def _picture(workflow: Workflow) -> Picture:
    loaded = workflow.node("CapHumanLoadPhoto", "Picture with two faces", image=files.TWO_PEOPLE)
    detector = workflow.node("CapHumanLoadFaceDetector")
    faces = workflow.node("CapHumanDetectFaces", image=loaded, detector=detector, max_faces=2, order="left to right")
    shown = workflow.node("PreviewImage", "Faces, numbered", images=faces["preview"])
    return Picture(loaded, faces, detector, [[loaded, detector], [faces, shown]])


def _person(workflow: Workflow, picture: Picture, model: Node, index: int, title: str, image: str,
            like: stages.Who | None = None) -> Person:
    """The head of the person in the photo, placed and posed as face `index` of the picture."""
    seen = stages.photo(workflow, title, image, picture.detector, f"{title}: face")
    face = workflow.node("CapHumanSelectFace", f"Face {index}", faces=picture.faces, index=index)
    there = workflow.node("CapHumanFitHeadLandmarks", f"Head {index} of the picture", image=picture.image, faces=face,
                          head_model=model)
    own = stages.fitted(workflow, seen, model, f"{title}: head")
    head = workflow.node("CapHumanTransferHead", f"{title} in the picture's place", source=own.head, target=there)
    who = stages.who(workflow, seen, like)
    workflow.group(f"{index + 2} {title}", stages.IDENTITY, *seen.columns, [face, there, *own.columns[0]], [head, *who.columns[0]],
                   *who.columns[1:], below=True)
    return Person(head, who, seen)


def _detailed(workflow: Workflow, image: Node, person: Person, said: stages.Prompt, network: Node, boxes: Output, index: int,
              model: Node, title: str) -> Node:
    """Crop, draw anew, paste back; the picture with face `index` detailed."""
    region = workflow.node("CapHumanHeadInRegion", head=person.head, bounding_box=boxes, index=index, grow=GROW)
    size: dict[str, Any] = {"width": region["draw_width"], "height": region["draw_height"]}
    drawn = workflow.node("CapHumanRenderHead", head=region["head"], head_model=model, framing="stretch", **size)
    shaded = workflow.node("PreviewImage", "Shaded", images=drawn["shaded"])
    apply = stages.capface(workflow, said, person.identity.identity, drawn, network)
    place: dict[str, Any] = {name: region[name] for name in ("x", "y", "width", "height")}
    crop = workflow.node("ImageCrop", "The region", image=image, **place)
    large = workflow.node("ImageScale", "Enlarge", image=crop, upscale_method="lanczos", crop="disabled", **size)
    latent = workflow.node("VAEEncode", pixels=large, vae=said.vae)
    made = stages.sampled(workflow, said, apply, latent, None, denoise=0.5)
    small = workflow.node("ImageScale", "Back to size", image=made.image, upscale_method="lanczos", crop="disabled",
                          width=region["width"], height=region["height"])
    grown = workflow.node("GrowMask", "Grow the mask", mask=drawn["mask"], expand=24)
    picture = workflow.node("MaskToImage", mask=grown)
    soft = workflow.node("ImageBlur", "Soften it", image=picture, blur_radius=24, sigma=8.0)
    mask = workflow.node("ImageToMask", image=soft, channel="red")
    pasted = workflow.node("ImageCompositeMasked", "Paste", destination=image, source=small, mask=mask, x=region["x"],
                           y=region["y"])
    workflow.group(title, stages.SAMPLE, [region, drawn, shaded], [crop, large, latent, apply], *made.columns,
                   [grown, picture, soft, mask], [small, pasted], below=True)
    return pasted
