"""Photos of phones: the work is bounded, small faces are found all the same, and who cancels is heard. Work is counted."""
from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from face_photos import golden_photo, photo
from torch.nn.functional import interpolate

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors import mtcnn, mtcnn_sight
from caphuman_core.face.search import Search
from caphuman_core.face.turned import VIEWS, View
from caphuman_core.flow import Face
from caphuman_core.pixels import block_means, block_sums, eight_bit

ROOT = Path(__file__).resolve().parents[2]
ALL_VIEWS = 16.0                         # megapixels proposed for a photo without a face: three seconds of a core
MEGA = 1e6


@pytest.fixture(scope="module")
def detector():
    return mtcnn.Mtcnn()


@pytest.fixture
def proposed(detector, monkeypatch):
    """Pixels of each piece of a pyramid level that goes through the first network."""
    pieces, forward = [], detector.proposal.forward

    def counted(level):
        pieces.append(level.shape[0] * level.shape[2] * level.shape[3])
        return forward(level)
    monkeypatch.setattr(detector.proposal, "forward", counted)
    return pieces


def textured(megapixels: float, seed: int = 0) -> torch.Tensor:
    """A photo without a face, [1, 3, H, W] uint8, of the shape that phones make."""
    width = round((megapixels * MEGA * 4 / 3) ** 0.5)
    plain = interpolate(golden_photo("no_face")[None], (width * 3 // 4, width), mode="bilinear")
    noise = torch.randint(-12, 13, plain.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int16)
    return (eight_bit(plain).to(torch.int16) + noise).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("megapixels", [4, pytest.param(48, marks=pytest.mark.thorough)])
def test_a_photo_without_a_face_costs_a_bounded_search(detector, proposed, megapixels):
    heard = []
    found = detect(detector, textured(megapixels), if_none="skip", search=Search(heed=lambda: heard.append(len(proposed))))
    assert found.count == 0
    assert sum(proposed) / MEGA < ALL_VIEWS * max(1.0, megapixels / 12)       # before: 29 per 2 megapixels of photo
    assert max(proposed) / MEGA <= 1.2, "a piece between two chances to cancel"
    waits = [after - before for before, after in pairwise(heard)]
    assert max(waits) <= 1, "asked at least once for every piece"


@pytest.mark.parametrize("after", [0, 1, 5, 20])
def test_whoever_cancels_is_heard_at_the_next_piece(detector, proposed, after):
    class Cancelled(Exception):
        pass

    def heed():
        if len(proposed) >= after:
            raise Cancelled
    with pytest.raises(Cancelled):
        detect(detector, textured(4), if_none="skip", search=Search(heed=heed))
    assert len(proposed) == after


def on_canvas(pictures, megapixels: float) -> torch.Tensor:
    """Pictures at their places (x, y) on a grey photo of that size, [1, 3, H, W]."""
    width = round((megapixels * MEGA * 4 / 3) ** 0.5)
    canvas = torch.full((1, 3, width * 3 // 4, width), 0.45)
    for picture, x, y in pictures:
        canvas[:, :, y:y + picture.shape[1], x:x + picture.shape[2]] = picture
    return canvas


def scaled(picture: torch.Tensor, factor: float) -> torch.Tensor:
    return interpolate(picture[None], scale_factor=factor, mode="bilinear", antialias=True)[0].clamp(0, 1)


PEOPLE = ("astronaut", "man_a_1", "man_b_1", "man_a_2")


@pytest.mark.parametrize("megapixels", [4, 12, pytest.param(24, marks=pytest.mark.thorough)])
def test_faces_from_64_pixels_on_are_found_in_large_photos(detector, megapixels):
    """The exact pyramid of the reference finds the astronaut's face; so does the bounded one, at the same place."""
    pieces, expected = [], []
    for number, name in enumerate(PEOPLE):
        (known, *_), = detector.find(photo(name)[None])
        side = float((known.box_xyxy[2:] - known.box_xyxy[:2]).min())
        for row, wanted in enumerate((64, 110)):
            factor = wanted / side
            x, y = 20 + 570 * number, 20 + 600 * row
            picture = scaled(photo(name), factor)[:, :560, :550]
            pieces.append((picture, x, y))
            box = known.box_xyxy * factor
            if box[2] < picture.shape[2] and box[3] < picture.shape[1]:
                expected.append(box + torch.tensor([x, y, x, y]))
    canvas = on_canvas(pieces, megapixels)
    assert len(expected) >= 6
    found = [face.box_xyxy for face in detector.find(canvas)[0]]
    for box in expected:
        assert max((overlap(box, other) for other in found), default=0.0) > 0.6


def overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Intersection over union of two boxes."""
    sides = (torch.minimum(one[2:], other[2:]) - torch.maximum(one[:2], other[:2])).clamp(min=0)
    shared = sides.prod()
    return float(shared / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared))


@pytest.mark.parametrize("turns", [1, *(pytest.param(turns, marks=pytest.mark.thorough) for turns in (0, 2, 3))])
def test_a_large_photo_is_turned_and_padded_as_a_small_one_is(detector, turns):
    """A face that lies on its side, and one that fills the frame, in six megapixels, which are reduced: the small photo's points,
    scaled."""
    whole = golden_photo("astronaut")
    for small in (whole, whole[:, 72:162, 191:257]):                           # the second one cuts the face
        factor = (6 * MEGA / (small.shape[1] * small.shape[2])) ** 0.5
        large = interpolate(small[None], scale_factor=factor, mode="bilinear")
        known = detect(detector, torch.rot90(small, turns, (1, 2))[None], max_faces=1).per_image[0][0]
        found = detect(detector, torch.rot90(large, turns, (2, 3)), max_faces=1).per_image[0][0]
        eyes = float((known.points5[0] - known.points5[1]).norm())
        assert float((found.points5 / factor - known.points5).norm(dim=1).max()) < 0.25 * eyes


def test_up_to_two_megapixels_the_pyramid_is_the_reference_s():
    assert mtcnn_sight.reduction(1224, 1632, 0.0) == (1, 20)
    assert mtcnn_sight.reduction(1230, 1640, 0.0) == (2, 20)
    assert mtcnn_sight.reduction(3000, 4000, 0.0) == (3, 20)
    assert mtcnn_sight.reduction(6000, 8000, 0.0) == (3, 20)
    assert mtcnn_sight.reduction(3000, 4000, 0.01) == (1, 30)                  # asked for: 30 pixels
    assert mtcnn_sight.reduction(3000, 4000, 0.001) == (1, 20)                 # never less than 20
    assert mtcnn_sight.reduction(100, 100, 1.0) == (5, 20)


def test_a_smaller_face_is_found_when_asked_for(detector):
    (known, *_), = detector.find(golden_photo("astronaut")[None])
    side = float((known.box_xyxy[2:] - known.box_xyxy[:2]).min())
    canvas = on_canvas([(scaled(golden_photo("astronaut"), 27 / side), 100, 100)], 12)
    assert detector.find(canvas) == [()]
    (found, *_), = detector.find(canvas, Search(smallest_face=0.007))
    assert overlap(known.box_xyxy * 27 / side + 100, found.box_xyxy) > 0.5


def test_strips_of_a_level_propose_what_the_level_does(detector, monkeypatch):
    for height, width in ((12, 12), (13, 40), (64, 50), (65, 50), (31, 33)):
        level = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))
        whole = detector.proposal(level)
        for pixels in (1, 700, 3000):
            monkeypatch.setattr(mtcnn, "STRIP_PIXELS", pixels)
            for one, other in zip(mtcnn._in_strips(detector.proposal, level, Search()), whole, strict=True):
                torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)     # sums in another order


def test_blocks_are_summed_and_averaged():
    photos = torch.randint(0, 256, (2, 3, 31, 47), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for factor in (1, 2, 3, 5):
        height, width = 31 // factor, 47 // factor
        blocks = photos[:, :, :height * factor, :width * factor].long().reshape(2, 3, height, factor, width, factor).sum((3, 5))
        assert torch.equal(block_sums(photos, factor).long(), blocks)
        assert (block_means(photos, factor).double() - blocks / factor ** 2).abs().max() <= 0.5


def test_patches_of_large_photos_are_averages_of_their_pixels():
    photos = torch.randint(0, 256, (1, 3, 300, 400), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    sight = mtcnn_sight.Sight(photos, 3)
    boxes = torch.tensor([[6, 3, 294, 291], [30, 60, 90, 120], [7, 8, 40, 49], [390, 290, 400, 300]])
    seen = sight.patches(torch.zeros(4, dtype=torch.long), boxes, 24)
    for box, patch in zip(boxes.tolist(), seen, strict=True):
        left, top, right, bottom = box
        plain = torch.nn.functional.adaptive_avg_pool2d(photos[0, :, top:bottom, left:right].double(), 24)
        torch.testing.assert_close(patch.double(), (plain - 127.5) / 128, atol=1e-5, rtol=0)


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_points_come_back_from_the_views_of_a_large_photo(view: View):
    large = torch.zeros(3, 1500, 2000, dtype=torch.uint8)
    large[:, 700:760, 1200:1260] = 255
    seen = view.of(large)
    assert seen.shape[1] * seen.shape[2] <= (1.2 * MEGA if view.padded else 3 * MEGA)
    rows, columns = (seen[0] == 255).nonzero().T
    box = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
    back = view.back(Face(box, 1.0), 1500, 2000).box_xyxy
    assert (back - torch.tensor([1200.0, 700, 1260, 760])).abs().max() <= 4      # blocks of four pixels


CHILD = """
import resource, sys
import torch
from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.mtcnn import Mtcnn
torch.set_num_threads(1)
detector = Mtcnn()
detect(detector, torch.zeros(1, 3, 256, 256), if_none='skip')
width = round((float(sys.argv[1]) * 4e6 / 3) ** 0.5)
photo = torch.rand(1, 3, width * 3 // 4, width, generator=torch.Generator().manual_seed(0))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
detect(detector, photo, if_none='skip')
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="optional: ru_maxrss has other units elsewhere")
def test_a_large_photo_needs_little_memory_beside_itself():
    """Twelve megapixels, 144 MB as float32: 700 MB more, in all eight views."""
    places = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    told = subprocess.run([sys.executable, "-c", CHILD, "12"], env={**os.environ, "PYTHONPATH": places},
                          capture_output=True, text=True, check=True)
    assert float(told.stdout) < 700


def test_a_photo_s_faces_share_one_look_of_the_parser():
    """Parsing a large photo takes seconds; it is the same for all of its faces that stand alike."""
    from caphuman_core.flow import Faces
    from caphuman_core.identity.encode import look
    looks = []

    def whiten(picture):
        looks.append(tuple(picture.shape))
        return picture
    faces = tuple(Face(torch.tensor([x, 20.0, x + 30.0, 60.0]), 0.9) for x in (10.0, 60.0, 110.0))
    look(torch.rand(2, 3, 100, 160), Faces((faces, faces), 160, 100), whiten=whiten)
    assert looks == [(3, 100, 160)] * 2


def test_an_overlay_of_a_large_photo_is_drawn_smaller_and_enlarged(monkeypatch):
    from caphuman_core.head.model.head_model import load_builtin
    from caphuman_core.head.new import new_head
    from caphuman_core.render import overlay as overlays
    model = load_builtin()
    head, plain = new_head(model, 400, 300), torch.full((1, 3, 300, 400), 0.5)
    exact = overlays.overlay(plain, head, model)
    monkeypatch.setattr(overlays, "MOST_PIXELS", 30_000)
    enlarged = overlays.overlay(plain, head, model)
    assert enlarged.shape == exact.shape
    assert not torch.equal(enlarged, exact)
    assert float((enlarged - exact).abs().mean()) < 0.02                       # edges and dots are softer
    covered = (exact - plain).abs().amax(1)[0] > 0.01
    assert float(((enlarged - plain).abs().amax(1)[0] > 0.01)[covered].float().mean()) > 0.95
