"""From a fitted head to one that explains its photo: shape, expression, jaw, gaze, camera by landmarks, skin and light by pixels.

What a view cannot tell stays where it was expected: at the mean of the head model, or, for a head whose skin was read from pixels
before (DECA's, or one that was refined), at its own codes. The head that came in is given back where,
by what points, pixels and priors cost, nothing better was found.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...check import require
from ...flow import Face, Faces, Head
from ...render.maps import require_same_model
from ..model.head_model import HeadModel
from .evidence import DENSE, FIVE, evidence_of
from .geometry import (
    EXPRESSION_SIGMA,
    HELD,
    HELD_SIGMA,
    LOOKS,
    State,
    View,
    head_of,
    pixel_distances,
    solve,
    state_of,
    total_cost,
    view_of,
    with_errors,
)
from .landmark_fit import require_one_face
from .skin import Pixels, face_pixels, fit_skin, mean_error, photo_cost, texture_sigma


@dataclass(frozen=True)
class Told:
    """How well a head explains its photo."""

    cost: float              # half the squared misfit of points and pixels, and of the priors
    points: float            # median distance of the points, in eye distances
    colours: float | None    # mean difference of the colours, 0..1; None where too little of the face is seen


@dataclass(frozen=True)
class Refined:
    """Heads in the order of the photos, and what became of each in one sentence."""

    head: Head
    notes: tuple[str, ...]
    told: tuple[tuple[Told, Told] | None, ...]       # how well each explained its photo before and after; None: it stayed as it was
    few_points: tuple[bool, ...]                     # where only five points were seen: mouth and brows are not told

    @property
    def report(self) -> str:
        return "\n".join(self.notes)


@dataclass(frozen=True)
class Photo:
    """One photo of a batch that has a face with points and a head."""

    number: int              # from 0
    picture: Tensor          # [1, 3, H, W]
    face: Face
    head: Head               # that came in, a batch of one
    view: View
    skin: Tensor | None      # [1, H, W]


def refine_photos(
    photos: Tensor,                      # [B, 3, H, W] 0..1, on the CPU
    faces: Faces,                        # found in them, at most one each
    head: Head,                          # fitted to them, in the photos' own frame
    model: HeadModel,
    skin: Tensor | None = None,          # [B or 1, H, W] 0..1: which pixels are skin; None: the model's face region
    same_person: bool = False,           # one identity and texture for all photos
    step: Callable[[int], object] = lambda done: None,
) -> Refined:
    """The heads that explain the photos best. step(i) is called after i photos.

    Raises InputError for several faces in a photo and for heads that are not these photos'.
    """
    _require_fitting(faces, head, model)
    known = [made for number in range(len(head)) if (made := _photo(number, photos, faces, head, model, skin)) is not None]
    heads, notes = [head[i] for i in range(len(head))], [_untold(faces, head, i) for i in range(len(head))]
    told: list[tuple[Told, Told] | None] = [None] * len(head)
    done = len(head) - len(known)
    for group in ([known] if same_person and known else [[photo] for photo in known]):
        for photo, (better, note, pair) in zip(group, _refined(group, model), strict=True):
            heads[photo.number], notes[photo.number] = better, f"Photo {photo.number + 1}: {note}"
            told[photo.number] = pair
        done += len(group)
        step(done)
    return Refined(Head.stack(heads), tuple(notes), tuple(told),
                   tuple(bool(found) and found[0].points68 is None and found[0].points5 is not None for found in faces.per_image))


def _require_fitting(faces: Faces, head: Head, model: HeadModel) -> None:
    require_one_face(faces)
    require_same_model(head, model)
    require(len(head) == len(faces), "head", f"must be a batch of {len(faces)}, one for each photo", len(head),
            "connect the head that was fitted to these faces")
    require((head.width, head.height) == (faces.width, faces.height), "head",
            f"must lie in the photo's own frame of {faces.width} x {faces.height}", f"{head.width} x {head.height}",
            "connect the head that was fitted to this photo, without squash_to_square")


def _photo(number: int, photos: Tensor, faces: Faces, head: Head, model: HeadModel, skin: Tensor | None) -> Photo | None:
    """What is known of one photo; None where there is nothing to refine by."""
    found, one = faces.per_image[number], head[number]
    evidence = evidence_of(found[0], model) if found and bool(one.present[0]) else None
    if evidence is None:
        return None
    view = view_of(evidence, one, model, _expected(state_of(one, len(evidence.modes)), one, found[0], model))
    mask = None if skin is None else skin[number if len(skin) > 1 else 0][None]
    return Photo(number, photos[number:number + 1], found[0], one, view, mask)


def _untold(faces: Faces, head: Head, number: int) -> str:
    """What is said of a photo without anything to refine by."""
    if not faces.per_image[number] or not bool(head.present[number]):
        return f"Photo {number + 1}: no face, nothing to refine."
    return (f"Photo {number + 1}: the head came back as it was, because its face has no points; connect a face detector that gives "
            "some.")


def _expected(state: State, head: Head, face: Face, model: HeadModel) -> State:
    """Where the unknowns are expected before a photo is looked at."""
    seen = bool(head.texture.any())
    scored = face.expression_scores is not None and bool(model.expression_names)
    shape = state.shape
    if seen or scored or face.points68 is None:
        expression, jaw = _without_looks(shape.expression, model), shape.jaw
    else:
        expression, jaw = torch.zeros_like(shape.expression), torch.zeros_like(shape.jaw)
    return replace(state, shape=replace(
        shape, identity=shape.identity if seen else torch.zeros_like(shape.identity), expression=expression, jaw=jaw,
        gaze=shape.gaze if seen else torch.zeros_like(shape.gaze)))


def _without_looks(expression: Tensor, model: HeadModel) -> Tensor:
    """The expression without what the joints of eyes and jaw do."""
    kept = expression.clone()
    for i, name in enumerate(model.expression_names):
        if name in HELD or name.startswith(LOOKS):
            kept[i] = 0
    return kept


def _refined(group: list[Photo], model: HeadModel) -> list[tuple[Head, str, tuple[Told, Told] | None]]:
    """The better heads of one person's photos, what to say of each, and how well they explain them before and after; the heads
    that came in where nothing is better."""
    heads = _with_skin(group, _with_shape(group, model), model)
    before = [_told(photo, photo.head, model) for photo in group]
    after = [_told(photo, head, model) for photo, head in zip(group, heads, strict=True)]
    costs = [sum(told.cost for told in side) for side in (before, after)]
    if not costs[1] < costs[0] or not all(map(_finite, heads)):
        why = (f"the head came back as it was, because no other one explains the photo better (cost {costs[0]:.1f}, of the best "
               f"one tried {costs[1]:.1f}).")
        return [(photo.head, why, None) for photo in group]
    return [(head.without_skin(), _note(photo, *pair), pair)
            for photo, head, pair in zip(group, heads, zip(before, after, strict=True), strict=True)]


def _with_shape(group: list[Photo], model: HeadModel) -> list[Head]:
    """Pose, place, shape, expression, jaw and gaze by the landmarks."""
    starts = []
    for photo in group:
        state = state_of(photo.head, len(photo.view.evidence.modes))
        named = photo.view.evidence.expression and bool(model.expression_names)
        starts.append(replace(state, shape=replace(state.shape, expression=_without_looks(state.shape.expression, model)))
                      if named else state)
    found = solve([photo.view for photo in group], starts, model)
    return [head_of(state, photo.head) for state, photo in zip(found, group, strict=True)]


def _with_skin(group: list[Photo], heads: list[Head], model: HeadModel) -> list[Head]:
    """Texture code and light by the pixels; as they were where too little of a face is seen."""
    seen = [(i, pixels) for i, (photo, head) in enumerate(zip(group, heads, strict=True))
            if (pixels := _pixels(photo, head, model)) is not None]
    if not seen:
        return heads
    textures = [heads[i].texture[0].double() for i, _ in seen]
    texture, lights = fit_skin([pixels for _, pixels in seen], torch.stack(textures).mean(0), texture_sigma(model),
                               [heads[i].light[0].double() for i, _ in seen])
    better = [head.replace(texture=texture.float()[None]) for head in heads]
    for (i, _), lit in zip(seen, lights, strict=True):
        better[i] = better[i].replace(light=lit.float()[None])
    return better


def _pixels(photo: Photo, head: Head, model: HeadModel) -> Pixels | None:
    return face_pixels(photo.picture, head, model, photo.skin)


def _told(photo: Photo, head: Head, model: HeadModel) -> Told:
    state = with_errors(photo.view, state_of(head), model)
    pixels = _pixels(photo, head, model)
    texture, lit = head.texture[0].double(), head.light[0].double()
    colours = None if pixels is None else mean_error(pixels, texture, lit)
    cost = total_cost([_fair(photo.view)], [state], model) + (0.0 if pixels is None else photo_cost(pixels, texture, lit))
    off = pixel_distances(photo.view, replace(state, errors=0 * state.errors), model).median() / photo.view.evidence.eye_pixels
    return Told(cost, float(off), colours)


def _fair(view: View) -> View:
    """The view for comparing heads: actions that the fit holds at nothing cost a head that came with them what others would, else
    any head would be better than one that was fitted by expression scores."""
    return replace(view, sigma=torch.where(view.sigma > HELD_SIGMA, view.sigma, EXPRESSION_SIGMA))


def _finite(head: Head) -> bool:
    return all(bool(value.isfinite().all()) for value in head.stored().values())


def _note(photo: Photo, before: Told, after: Told) -> str:
    """One sentence or two about a photo whose head became better."""
    said = f"{_seen(photo)} Points {100 * before.points:.1f} % of the eyes' distance off before, {100 * after.points:.1f} % now"
    if before.colours is None or after.colours is None:
        return f"{said}; too little skin is seen to tell its colour."
    return f"{said}; colours {100 * before.colours:.1f} % off before, {100 * after.colours:.1f} % now."


def _seen(photo: Photo) -> str:
    kind = photo.view.evidence.kind
    if kind == FIVE:
        return "only five points were seen: mouth, brows and gaze are not told by them; a MediaPipe detector sees those."
    if kind == DENSE:
        return "478 points, irises among them."
    return "68 points and the irises." if photo.view.evidence.gaze else "68 points; the gaze is not told by them."


__all__ = ["Refined", "refine_photos"]
