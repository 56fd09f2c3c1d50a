"""python dev.py benchmark faces: the face stages against a baseline in the same run, written into RESULTS.md.

Needs the development packages (facenet-pytorch is the baseline of detection). Networks other than MTCNN's hold random
weights: their arithmetic, and so their time, is the same.
"""
from __future__ import annotations

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
TITLE = "## Faces and identity (`python dev.py benchmark faces`)"
ROUNDS = 5


def seconds(*ways: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Median processor seconds of each way; ways take turns, so that a busy machine hurts all alike."""
    for way in ways:
        way()
    spent: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for number, way in enumerate(ways):
            start = time.process_time()
            way()
            spent[number].append(time.process_time() - start)
    return [statistics.median(times) for times in spent]


def photo_1024():
    """The astronaut at 1024 x 1024, as a PIL picture and a tensor [1, 3, H, W]."""
    import numpy as np
    import torch
    from PIL import Image
    from skimage.data import astronaut
    picture = Image.fromarray(astronaut()).resize((1024, 1024), Image.Resampling.BICUBIC)
    return picture, torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def measure() -> list[tuple[str, str, float, float]]:
    """Rows: what, baseline, baseline's seconds, ours."""
    import torch
    from facenet_pytorch import MTCNN

    from caphuman_core.face.bisenet import BiSeNet
    from caphuman_core.face.detectors.mtcnn import Mtcnn
    from caphuman_core.face.parsing import parse
    from caphuman_core.identity.facenet import FaceNet
    torch.set_num_threads(1)
    ours, theirs = Mtcnn(), MTCNN()
    picture, photo = photo_1024()
    rows = [("detect in a 1024 px photo", "facenet-pytorch's MTCNN", *seconds(lambda: theirs.detect(picture, landmarks=True),
                                                                           lambda: ours.find(photo)))]
    sixteen = torch.nn.functional.interpolate(photo, (512, 512), mode="area").expand(16, -1, -1, -1)
    rows.append(("detect in 16 photos of 512 px, a batch", "one by one",
                 *seconds(lambda: [ours.find(one[None]) for one in sixteen], lambda: ours.find(sixteen), rounds=3)))
    parser = BiSeNet().eval()
    rows.append(("parse 16 photos of 512 px, a batch", "one by one",
                 *seconds(lambda: [parse(parser, one[None]) for one in sixteen], lambda: parse(parser, sixteen), rounds=3)))
    facenet, crops = FaceNet().eval(), torch.rand(16, 3, 160, 160)
    with torch.no_grad():
        rows.append(("FaceNet on 16 crops, a batch", "one by one",
                     *seconds(lambda: [facenet(one[None]) for one in crops], lambda: facenet(crops), rounds=3)))
    return rows


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def memory() -> str:
    """Peak memory after 4 and after 64 photos in a batch."""
    import torch

    from caphuman_core.face.detectors.mtcnn import Mtcnn
    detector, (_, photo) = Mtcnn(), photo_1024()
    peaks = []
    for count in (4, 32):
        detector.find(photo.expand(count, -1, -1, -1))
        peaks.append(peak_mib())
    return (f"Peak memory of the process after detecting in 4 photos of 1024 px at once: {peaks[0]} MiB; in 32: {peaks[1]} MiB "
            f"(torch {torch.__version__}).")


def write(section: str) -> None:
    """Put the section into RESULTS.md in place of its last version."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else "# Measurements\n"
    before, _, after = text.partition(TITLE)
    rest = after.partition("\n## ")[2]
    text = before.rstrip() + "\n\n" + section.rstrip() + "\n" + (f"\n## {rest}" if rest else "")
    RESULTS.write_text(text, encoding="utf-8")


def main() -> int:
    """Measure, print and write; returns the exit status."""
    used = memory()
    lines = [TITLE, "", f"{platform.machine()}, {os.cpu_count()} shared cores, one thread, processor seconds, median, both sides "
             "in turns in one run.", "", "| what | baseline | baseline, s | ours, s | times faster |", "|---|---|---|---|---|"]
    lines += [f"| {what} | {baseline} | {theirs:.3f} | {ours:.3f} | {theirs / ours:.2f} |"
              for what, baseline, theirs, ours in measure()]
    section = "\n".join([*lines, "", used])
    sys.stdout.write(section + "\n")
    write(section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
