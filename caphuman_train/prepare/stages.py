"""From one photo to one record: decode, faces, frame, head, face region, views; then the networks, some pictures at once."""
from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from caphuman_bench.people import UNREADABLE
from caphuman_bench.score.faces import Seen
from caphuman_core.check import InputError
from caphuman_core.face.detection import detect
from caphuman_core.face.turned import moved_face, quarter_turns_to_upright
from caphuman_core.flow import Face, Faces, Head
from caphuman_core.identity.encode import Views, embedded, look, nearest_to, seen_by_clip
from caphuman_core.pixels import image_of, photo_of
from caphuman_core.render.maps import render

from ..data.record import Record
from ..data.sources import Item, Photo
from ..data.target import face_target
from ..data.webp import lossless, to_look_at
from .framing import Box, frame_of
from .settings import Settings

if TYPE_CHECKING:
    from .tools import Tools

LONGEST = 2048                           # pixels; larger photos are reduced first
DETECT_SIDE = 1024                       # pixels; of the copy in which faces are looked for
BESIDE = 0.25                            # of the largest face's height: smaller faces in the background do not count
SHARPNESS_SIDE = 160                     # pixels
AT_ONCE = 8                              # pictures in the networks; fixed, so that results do not depend on the machine


class Refused(Exception):
    """A photo that cannot be learnt from. Its text is the reason."""


@dataclass(frozen=True)
class Looked:
    """A photo before the large networks."""

    item: Item
    photo: Photo
    picture: Tensor                      # [3, H, W] 0..1, the target
    face: Tensor                         # [H, W] bool, the face itself
    head: Head
    views: Views                         # one row
    measures: dict[str, float]


def decode(content: bytes) -> Image.Image:
    """The picture upright, in RGB, at most LONGEST pixels long. Refused if there is none."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except UNREADABLE as error:
        raise Refused("no picture that can be read") from error
    upright.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return upright


def look_at(item: Item, photo: Photo, tools: Tools, settings: Settings) -> Looked:
    """Everything that is done for each photo by itself. Refused with the reason."""
    picture = decode(photo.content)
    face, others = find_face(picture, tools, settings)
    frame = frame_of(box_of(face), picture.width, picture.height, settings)
    if frame.height < settings.least_share_of_size * settings.height:
        raise Refused(f"too small ({frame.width:.0f} x {frame.height:.0f} pixels can be cut out for a picture of "
                      f"{settings.width} x {settings.height})")
    measures = {"face_pixels": height_of(face) * settings.height / frame.height, "confidence": face.confidence,
                "sharpness": sharpness(picture, box_of(face))}
    if measures["face_pixels"] < settings.least_face_pixels:
        raise Refused(f"too small (a face {measures['face_pixels']:.0f} pixels high in the picture)")
    if measures["sharpness"] < settings.least_sharpness:
        raise Refused(f"blurred (sharpness {measures['sharpness']:.3f})")
    target = photo_of(frame.cut(picture, settings))
    face, others = frame.place(face, settings), [frame.place(other, settings) for other in others]
    head, told = fit(target, face, tools)
    region = face_region(target, face, others, head, tools)
    measures["expression_known"] = float(told)
    return Looked(item, photo, target, region, head, views_of(target, face, region, settings), measures)


def find_face(picture: Image.Image, tools: Tools, settings: Settings) -> tuple[Face, list[Face]]:
    """The photo's face and the small ones beside it, in pixels of the photo."""
    small = picture.copy()
    small.thumbnail((DETECT_SIDE, DETECT_SIDE))
    found = detect(tools.detector, photo_of(small)[None], settings.least_confidence, if_none="skip").per_image[0]
    if not found:
        raise Refused("no face")
    scale = picture.width / small.width
    faces = [moved_face(face, lambda points: points * scale) for face in found]
    counted = [face for face in faces if height_of(face) >= BESIDE * height_of(faces[0])]
    if len(counted) > 1:
        raise Refused(f"several faces ({len(counted)})")
    return faces[0], faces[1:]


def box_of(face: Face) -> Box:
    """Left, top, right, bottom, pixels."""
    left, top, right, bottom = face.box_xyxy.tolist()
    return left, top, right, bottom


def height_of(face: Face) -> float:
    """Pixels."""
    return float(face.box_xyxy[3] - face.box_xyxy[1])


def sharpness(picture: Image.Image, box: Box) -> float:
    """Variance of the Laplacian of the face in grey, 160 pixels on a side, over the variance of its grey.

    So it does not depend on size and contrast. Ten portraits have 0.047 to 0.27; the same after a Gaussian blur of a hundredth of
    the face's height 0.003 to 0.013 (one with hard lines drawn into it: 0.046).
    """
    area = (round(max(box[0], 0)), round(max(box[1], 0)), round(min(box[2], picture.width)), round(min(box[3], picture.height)))
    if area[2] - area[0] < 2 or area[3] - area[1] < 2:
        return 0.0
    grey = picture.crop(area).convert("L").resize((SHARPNESS_SIDE, SHARPNESS_SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(grey, dtype=np.float64)
    middle = pixels[1:-1, 1:-1]
    laplacian = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:] - 4 * middle
    return float(laplacian.var() / max(pixels.var(), 1.0))


def fit(target: Tensor, face: Face, tools: Tools) -> tuple[Head, bool]:
    """The head of the target picture, and whether its expression is known."""
    try:
        fitted = tools.fitter.fit([Seen(target, face)])[0]
    except InputError as error:
        raise Refused(f"no head could be fitted ({error})") from error
    numbers = [value for value in vars(fitted.head).values() if isinstance(value, Tensor)] if fitted is not None else []
    if fitted is None or not all(bool(value.isfinite().all()) for value in numbers):
        raise Refused("no head could be fitted")
    return fitted.head, fitted.knows_expression


def face_region(target: Tensor, face: Face, others: list[Face], head: Head, tools: Tools) -> Tensor:
    """[H, W] bool, True on the face itself: by the parser, else where the fitted head is drawn; never on other people's faces."""
    if tools.parser is not None:
        region = tools.parser(target).cpu()
    else:
        region = render(head, tools.fitter.model, target.shape[2], target.shape[1]).mask[0] > 0
    region = region & nearest_to(face, others, target.shape[1], target.shape[2])
    if not bool(region.any()):
        raise Refused("no face region in the picture")
    return region


def views_of(target: Tensor, face: Face, region: Tensor, settings: Settings) -> Views:
    """What FaceNet and CLIP see of the target picture, by the pack's own path; for CLIP everything but the face white, unless the
    settings say otherwise."""
    turns = quarter_turns_to_upright(face)

    def whiten(photo: Tensor) -> Tensor:
        return torch.where(torch.rot90(region, turns), photo, torch.ones_like(photo))
    faces = Faces(((face,),), target.shape[2], target.shape[1])
    return look(target[None], faces, settings.clip_view, whiten if settings.whiten else None)


def _joined(views: Sequence[Views]) -> Views:
    rows = {name: torch.cat([getattr(one, name) for one in views]) for name in ("crops", "facenet", "clip", "present")}
    return Views(**rows, arcface=None)


def encode(looked: Sequence[Looked], hashes: Sequence[str], tools: Tools, settings: Settings) -> Iterable[Record]:
    """Records of photos that were looked at, in their order."""
    for first in range(0, len(looked), AT_ONCE):
        part = looked[first:first + AT_ONCE]
        pictures = torch.stack([one.picture for one in part])
        mean, std = tools.latents(pictures)
        flipped = tools.latents(pictures.flip(-1)) if settings.flips else None
        views = _joined([one.views for one in part])
        embedding = embedded(views, tools.encoders.embed)
        tokens = seen_by_clip(views, tools.encoders.tokens) if settings.tokens else None
        for row, one in enumerate(part):
            item, photo = one.item, one.photo
            yield Record(
                number=item.number, key=item.key, person=item.person or photo.person or item.key, text=photo.text,
                licence=photo.licence or settings.licence, source=photo.source or settings.source, picture_hash=hashes[first + row],
                head=one.head, latent_mean=mean[row], latent_std=std[row], face_target=face_target(one.face),
                global_embedding=embedding[row], local_tokens=None if tokens is None else tokens[row],
                flipped_mean=None if flipped is None else flipped[0][row],
                flipped_std=None if flipped is None else flipped[1][row],
                face=lossless(image_of(one.views.clip[0])), photo=to_look_at(image_of(one.picture)), measures=one.measures)
