"""python -m tools.make_pictures.sample_video: samples/caphuman_sample.mp4, the driving video that is there from the start.

A second of the second sample photo (a generated person, MIT), swayed as a head sways: tilted, moved, nearer and farther, and seen a
little from either side. The motion ends where it begins.
"""
from __future__ import annotations

import math

import av
from PIL import Image

from ..devkit.places import ROOT

PHOTO, VIDEO = ROOT / "samples" / "caphuman_sample_2.jpg", ROOT / "samples" / "caphuman_sample.mp4"
SIDE, FRAMES, PER_SECOND = 320, 12, 12
TILT_DEGREES, TURN, MOVE, ZOOM = 11.0, 0.10, 0.03, 0.05     # the last three: shares of the picture's side
INSIDE = 0.12                # cut off at each edge, so that nothing beyond the photo comes into view


def corners(phase: float) -> list[tuple[float, float]]:
    """Where the picture's corners lie in the photo (0..1, clockwise from the upper left) at a phase of the motion, radians."""
    tilt, turn = math.radians(TILT_DEGREES) * math.sin(phase), TURN * math.sin(phase + math.pi / 2)
    reach = 0.5 - INSIDE - ZOOM * (1 + math.cos(2 * phase)) / 2
    found = []
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        y *= 1 + turn * x                                   # one side nearer than the other
        found.append((0.5 + MOVE * math.sin(phase) + reach * (x * math.cos(tilt) - y * math.sin(tilt)),
                      0.5 + MOVE * math.cos(2 * phase) + reach * (x * math.sin(tilt) + y * math.cos(tilt))))
    return found


def frame(photo: Image.Image, phase: float) -> Image.Image:
    """The photo as it is seen at that phase."""
    upper_left, upper_right, lower_right, lower_left = ((x * photo.width, y * photo.height) for x, y in corners(phase))
    return photo.transform((SIDE, SIDE), Image.Transform.QUAD, (*upper_left, *lower_left, *lower_right, *upper_right),
                           Image.Resampling.BICUBIC)


def main() -> None:
    """Write the file."""
    with Image.open(PHOTO) as opened, av.open(str(VIDEO), "w") as film:
        photo = opened.convert("RGB")
        stream = film.add_stream("libx264", rate=PER_SECOND, options={"crf": "26", "preset": "veryslow"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            film.mux(stream.encode(av.VideoFrame.from_image(frame(photo, 2 * math.pi * number / FRAMES))))
        film.mux(stream.encode())


if __name__ == "__main__":
    main()
