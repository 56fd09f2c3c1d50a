"""The skin of a photo as a sheet of the head model's texture: what it adds to the albedo of the head's texture code.

The photo is looked up where each texel of the fitted head lies in it, and divided by the fitted light. What it does not show
(turned away, hidden, hair before it) comes from the face's other side, and beyond that from the model's own texture, brought to
the tone of the skin that was seen; differences run out softly, so that no seam is seen.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ...flow import Head
from ...opencv import opencv
from ...points import LEFT_EYE, RIGHT_EYE
from ...render.maps import pose, raster_vertices, vertex_normals
from ...render.raster import rasterize
from .. import camera, light
from ..camera import pixels_per_unit
from ..model.atlas import Atlas, atlas, smooth_step
from ..model.head_model import HeadModel
from ..model.texture import albedo_texture, skin_sized
from .photo_light import face_box
from .sheets import blurred, blurred_picture, drawn_out, least, mirrored, pictures

CLOSE_UP = 640               # pixels of the square that the photo is looked up in
AROUND = 1.7                 # its side, in sides of the landmarks' box
LEAST_SEEN = 0.1             # share of the face's texels; with fewer nothing is told
LEAST_PIXELS, FACE_METRES = 60.0, 0.12       # a face smaller than so many pixels shows no skin; its usual width
CHOOSY = 6                   # power of how well a photo shows a texel, in the choice between photos
FACING = 0.25, 0.55          # cosine to the viewer: below the first a texel says nothing, above the second all
HIDDEN_METRES = 0.004        # something so much nearer hides a texel
LEAST_SHADE = 0.3            # of the face's usual one: deeper shadows hold noise and another colour of light
BRIGHT, DARK = (0.93, 1.0), (0.0, 0.03)      # colours between which a highlight, or the dark, says less and less
STRANGE = 0.35, 0.12         # differences of brightness and of tint, logarithms, that skin has
BESIDE = 5                   # texels: what lies so near another piece, such as an eyeball, stays the model's
BRIGHTEST = 1.2              # albedo: codes that are fitted to a dim light reach beyond white
EVEN_TEXELS = 34             # standard deviation of what counts as light that the fit did not find
EVEN = 1.0, 0.35             # how much of it goes: what the two sides do not share, and what they do
HAIRLINE = 0.45              # scale of what is small and dark above the brows: hair, elsewhere lines of a face
MOLE_TEXELS = 2.5            # what is smaller belongs to the skin, whatever colour it has
CLEAR_TEXELS = 14            # around brows and eyes: hair there hangs over them too
# Landmarks around eyes and mouth -> shares of the width: so far beside the outline the inside may be seen, since no fit is exact.
OPENINGS = {RIGHT_EYE: 0.07, LEFT_EYE: 0.07, tuple(range(60, 68)): 0.025}
FADE_TEXELS = 26             # over which a difference to the model's skin runs out where nothing is seen
SPREAD = 0.7, 1.4            # least and most that the deviation of the model's texture is changed


@dataclass(frozen=True)
class Seen:
    """What a photo shows of the N texels of an atlas."""

    colour: Tensor           # [N, 3] albedo, 0..1
    weight: Tensor           # [N] 0..1 how far it is to be believed
    view: Tensor             # [N] photo's pixels for a metre of the skin, 0 and more: how closely and squarely it is seen


def with_photo_skin(
    photos: Tensor,                      # [B, 3, H, W] 0..1, on the CPU, in the heads' own frame
    head: Head,                          # fitted to them, each under its light
    model: HeadModel,
    skin: Tensor | None = None,          # [B or 1, H, W] 0..1: which pixels are skin; None: what differs from skin is left out
    same_person: bool = False,           # one skin for all photos, from where each shows it best
    step: Callable[[int], object] = lambda done: None,
    roughly: Sequence[bool] = (),        # for each head: whether it was placed by five points only, too roughly for a skin
) -> tuple[Head, tuple[str, ...]]:
    """The heads with the skin of their photos, and a sentence about each. step(i) is called after i photos.

    A head whose photo shows too little of its skin, or that lies on it only roughly, keeps the one it had.
    """
    sheet, heads = atlas(model), [head[i] for i in range(len(head))]
    notes = ["" for _ in heads]
    seen: dict[int, Seen] = {}
    for i, one in enumerate(heads):
        if i < len(roughly) and roughly[i]:
            notes[i] = "Its skin is not taken from the photo: five points do not say where brows and mouth are."
        elif bool(one.present[0]):
            mask = None if skin is None else skin[i if len(skin) > 1 else 0][None]
            found = _believed(photos[i:i + 1], one, model, sheet, mask)
            notes[i] = _sentence(found, sheet)
            if found is not None:
                seen[i] = found
        step(i + 1)
    for group in ([[*seen]] if same_person and seen else [[i] for i in seen]):
        laid = _whole([seen[i] for i in group], torch.stack([_own(heads[i], model) for i in group]).mean(0), sheet)
        for i in group:
            detail = (laid - _own(heads[i], model)) * _beside(sheet)
            heads[i] = heads[i].replace(skin_detail=detail[None].half())
    return Head.stack(heads), tuple(notes)


def _own(head: Head, model: HeadModel) -> Tensor:
    """The albedo of a head's texture code at the sheet's size, [3, SIDE, SIDE]."""
    return skin_sized(albedo_texture(model, head.texture))[0]


def _believed(photo: Tensor, head: Head, model: HeadModel, sheet: Atlas, skin: Tensor | None) -> Seen | None:
    """What is believed of a photo; None where that is too little."""
    expected = _own(head, model).flatten(1).T[sheet.place]
    seen = _without_strange(look_up(photo, head, model, sheet, skin), expected, sheet)
    if _share(seen, sheet) < LEAST_SEEN or float(seen.view.max()) * FACE_METRES < LEAST_PIXELS:
        return None
    return _evenly_lit(seen, expected, sheet)


def _share(seen: Seen, sheet: Atlas) -> float:
    """0..1 of the face's texels that are seen."""
    return float(seen.weight.sum() / sheet.region.sum().clamp(min=1))


def _sentence(seen: Seen | None, sheet: Atlas) -> str:
    if seen is None:
        return "Too little of its skin is seen, or from too far, to take it from the photo."
    return f"{100 * _share(seen, sheet):.0f} % of the face's skin is the photo's; the rest is filled in."


def _whole(seen: Sequence[Seen], own: Tensor, sheet: Atlas) -> Tensor:
    """The albedo sheet [3, SIDE, SIDE] of what photos of one person show. own: the head model's, for what they do not show."""
    best = _best(seen)
    return _laid(best, _toned(own, best, sheet), sheet).clamp(0, BRIGHTEST)


def _best(seen: Sequence[Seen]) -> Seen:
    """At each texel the photo that shows it best; where several do so alike, what lies between them."""
    weights, views = (torch.stack([getattr(one, name) for one in seen]) for name in ("weight", "view"))
    votes = weights * (views / views.amax(0).clamp(min=1e-6)) ** CHOOSY
    colour = (torch.stack([one.colour for one in seen]) * votes[..., None]).sum(0) / votes.sum(0).clamp(min=1e-6)[:, None]
    return Seen(colour, (weights * votes).sum(0) / votes.sum(0).clamp(min=1e-6), views.amax(0))


def _beside(sheet: Atlas) -> Tensor:
    """[1, SIDE, SIDE]: 0 on the other pieces and right beside them, where they would mix; else 1."""
    return 1 - F.max_pool2d(sheet.other.float()[None], BESIDE, 1, BESIDE // 2)


def look_up(photo: Tensor, head: Head, model: HeadModel, sheet: Atlas, skin: Tensor | None = None) -> Seen:
    """The photo's colours without the light, and how far each is to be believed: not where it is turned away, hidden or cut off."""
    close, picture = _close_up(photo, head, model)
    posed = pose(close, model)
    verts = posed.verts
    normals = vertex_normals(verts, model.faces)[0]
    corners = model.faces[sheet.face]
    normal, world = ((values[corners] * sheet.weights[..., None]).sum(1) for values in (normals, verts[0]))
    at = camera.to_picture(close, world[None])[0, :, :2]
    weight = sheet.region * smooth_step((normal[:, 2] - FACING[0]) / (FACING[1] - FACING[0]))
    weight = weight * ~_hidden(close, verts, model, at, world[:, 2])
    weight = weight * (1 - _sampled(_openings(camera.to_picture(close, posed.landmarks2d)[0, :, :2]), at)[:, 0])
    colour = _sampled(picture, at)
    weight = weight * _exposed(colour)
    weight = weight * ((at > 0.5) & (at < CLOSE_UP - 0.5)).all(1) * _inside_photo(head, close, at)
    if skin is not None:
        weight = weight * smooth_step(_sampled(_close_up(skin[:, None], head, model)[1], at)[:, 0] * 2 - 1)
    shade = light.shade(F.normalize(normal, dim=1), head.light[0])
    usual = shade[weight > 0.5].median(0).values if bool((weight > 0.5).any()) else shade.median(0).values
    weight = weight * (shade > 0.5 * LEAST_SHADE * usual).all(1)
    return Seen((colour / shade.maximum(LEAST_SHADE * usual.clamp(min=0.05))).clamp(0, BRIGHTEST), weight,
                pixels_per_unit(head) * normal[:, 2].clamp(min=0))


def _exposed(colour: Tensor) -> Tensor:
    """0..1 how far colours [N, 3] are neither cut off nor lost in the dark."""
    high = colour.amax(1)
    return smooth_step((BRIGHT[1] - high) / (BRIGHT[1] - BRIGHT[0])) * smooth_step((high - DARK[0]) / (DARK[1] - DARK[0]))


def _close_up(photo: Tensor, head: Head, model: HeadModel) -> tuple[Head, Tensor]:
    """The head and its photo [1, C, H, W], cut to a square around the face of CLOSE_UP pixels: none is skipped."""
    low, high = face_box(head, model)
    side = max(float((high - low).max()), 4.0) * AROUND
    corner = ((low + high) / 2 - side / 2).round()
    whole = max(1, round(side))
    factor = CLOSE_UP / whole
    move = camera.picture_transform(factor, factor, float(-corner[0]) * factor, float(-corner[1]) * factor)
    close = head.replace(crop_to_picture=head.crop_to_picture @ move, width=CLOSE_UP, height=CLOSE_UP)
    left, top = (int(value) for value in corner)
    pad = [max(0, -left), max(0, left + whole - photo.shape[3]), max(0, -top), max(0, top + whole - photo.shape[2])]
    part = photo[..., max(0, top):max(0, top + whole), max(0, left):max(0, left + whole)].float()
    part = F.pad(part, pad, mode="constant")
    return close, F.interpolate(part, (CLOSE_UP, CLOSE_UP), mode="bilinear", antialias=True, align_corners=False)


def _openings(marks: Tensor) -> Tensor:
    """Where the eyes and the mouth are open, and a little around, since no fit is exact, [1, 1, CLOSE_UP, CLOSE_UP] 0..1: what is
    seen there is no skin. marks: the 68 landmarks, pixels [68, 2]."""
    import numpy as np
    drawn = np.zeros((CLOSE_UP, CLOSE_UP), np.uint8)
    for outline, loose in OPENINGS.items():
        corners = marks[list(outline)]
        wide = float((corners[0] - corners[len(outline) // 2]).norm())
        flat = corners.round().numpy().astype(np.int32)
        opencv().fillPoly(drawn, [flat], 255)
        opencv().polylines(drawn, [flat], True, 255, max(1, round(2 * loose * wide)))
    return F.avg_pool2d(torch.from_numpy(drawn).float()[None, None] / 255, 5, 1, 2)


def _inside_photo(head: Head, close: Head, at: Tensor) -> Tensor:
    """Which points of the close-up [N, 2] lie in the photo."""
    move = torch.linalg.inv(head.crop_to_picture[0]) @ close.crop_to_picture[0]
    back = torch.cat([at, torch.ones(len(at), 1)], 1) @ torch.linalg.inv(move)
    return ((back[:, :2] > 0) & (back[:, :2] < torch.tensor([head.width, head.height]))).all(1)


def _sampled(picture: Tensor, at: Tensor) -> Tensor:
    """Colours [N, C] of a square picture [1, C, S, S] at pixels [N, 2]."""
    grid = at / picture.shape[-1] * 2 - 1
    return F.grid_sample(picture, grid[None, None], align_corners=False, padding_mode="border")[0, :, 0].T


def _hidden(close: Head, verts: Tensor, model: HeadModel, at: Tensor, towards: Tensor) -> Tensor:
    """Which points at pixels [N, 2] and world z [N] have another part of the head before them, or right beside them."""
    seen = rasterize(raster_vertices(close, verts), model.faces, CLOSE_UP, CLOSE_UP)
    front = torch.full((CLOSE_UP * CLOSE_UP,), -1.0)
    front[seen.pixel] = (verts[0, :, 2][model.faces[seen.face]] * seen.weights).sum(1)
    near = F.max_pool2d(front.view(1, 1, CLOSE_UP, CLOSE_UP), 5, 1, 2)
    return _sampled(near, at)[:, 0] > towards + HIDDEN_METRES


def _without_strange(seen: Seen, expected: Tensor, sheet: Atlas) -> Seen:
    """Less weight for what is no skin of this person, such as hair: another colour than is expected, and than around it.

    Brows, eyes, nostrils and lips differ from skin too: around them it takes more.
    """
    ratio = (seen.colour.clamp(min=0.02) / expected.clamp(min=0.02)).log()
    sure = seen.weight > 0.5
    if not bool(sure.any()):
        return seen
    ratio = ratio - ratio[sure].median(0).values
    weight = seen.weight * _like_skin(ratio, 2.0 + 2.0 * sheet.features)
    broad = blurred(ratio, weight, sheet, EVEN_TEXELS)
    soft = blurred(ratio - broad, seen.weight, sheet, MOLE_TEXELS)
    like = _like_skin(soft, 1.0) * (1 - sheet.above * (1 - _like_skin(soft.clamp(max=0), HAIRLINE)))
    clear = blurred(like[:, None], seen.weight * (1 - sheet.features), sheet, CLEAR_TEXELS)[:, 0]
    features = sheet.features * smooth_step((clear - 0.5) / 0.4)
    feature = _like_skin(ratio - broad, 4.0) * _like_skin((ratio - broad).clamp(min=0), 1.3)     # darker or redder, never bright
    around = least(like, sheet) * (1 - features) + feature * features
    return replace(seen, weight=weight * around)


def _like_skin(ratio: Tensor, scale: Tensor | float) -> Tensor:
    """1 for small differences of colour [N, 3], logarithms, 0 for large ones; scale: [N] or one number, of what is small."""
    red, green, blue = ratio.unbind(1)
    bright = (red + green + blue) / 3
    tint = (red - bright).square() + (green - bright).square() + (blue - bright).square()
    away = ((bright / STRANGE[0]).square() + tint / STRANGE[1] ** 2).sqrt() / scale
    return smooth_step((1.7 - away) / 0.7)


def _evenly_lit(seen: Seen, expected: Tensor, sheet: Atlas) -> Seen:
    """The colours without the broad differences from the expected skin that the light leaves: wholly where the face's two sides
    differ, in part where they do not."""
    ratio = (seen.colour.clamp(min=0.02) / expected.clamp(min=0.02)).log()
    broad = blurred(ratio, seen.weight, sheet, EVEN_TEXELS)
    broad = broad - (broad * seen.weight[:, None]).sum(0) / seen.weight.sum()
    other, there = mirrored(broad, seen.weight, sheet)
    odd = (broad - other) / 2 * there[:, None]
    return replace(seen, colour=seen.colour * (-EVEN[0] * odd - EVEN[1] * (broad - odd)).exp())


def _toned(own: Tensor, seen: Seen, sheet: Atlas) -> Tensor:
    """The model's texture [3, S, S] with the mean and the deviation of the skin that was seen."""
    mine = own.flatten(1).T[sheet.place]
    share = (seen.weight / seen.weight.sum())[:, None]
    means, spreads = [], []
    for values in (seen.colour, mine):
        means.append((values * share).sum(0))
        spreads.append((((values - means[-1]).square() * share).sum(0)).sqrt())
    gain = (spreads[0] / spreads[1].clamp(min=1e-4)).clamp(*SPREAD)
    return (own - means[1].view(3, 1, 1)) * gain.view(3, 1, 1) + means[0].view(3, 1, 1)


def _laid(seen: Seen, base: Tensor, sheet: Atlas) -> Tensor:
    """The sheet [3, S, S]: what was seen, else its mirror, else the base; differences to the base run out softly."""
    away = seen.colour - base.flatten(1).T[sheet.place]
    other, there = mirrored(away, seen.weight, sheet)
    weight = seen.weight[:, None]
    second = (1 - weight) * there[:, None]
    laid = pictures(torch.cat([away * weight + other * second, weight + second], 1), sheet)
    known, total = laid[:3], laid[3:]
    return base + known + (1 - total) * drawn_out(known, total) * blurred_picture(total, FADE_TEXELS)
