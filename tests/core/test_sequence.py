"""Keyframes, and heads over the frames of a video: laws of blending, gaps and smoothing."""
from __future__ import annotations

import itertools
import math

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.face.track import Track, _Path
from caphuman_core.flow import Face, Faces, Head
from caphuman_core.head.camera import pixels_per_unit
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.sequence import Keyframe, Keyframes, blend_keyframes, fill_gaps, smooth, steady
from caphuman_core.head.edit.transfer import blend
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import pivot
from caphuman_core.head.rotations import matrix_from_axis_angle, yaw_pitch_roll_from_matrix
from caphuman_core.render import strip as strips
from caphuman_core.render.strip import strip_frames

FPS = 25.0


@pytest.fixture(scope="module")
def model():
    return load_builtin()


@pytest.fixture(scope="module")
def posed(model):
    """posed(yaw, x, scale, smile, pitch) -> a single head."""
    def make(yaw=0.0, x=0.0, scale=1.0, smile=0.0, pitch=0.0):
        edit = Edit(yaw_degrees=yaw, pitch_degrees=pitch, x=x, scale=scale, expressions={"smile": smile})
        return edit_head(new_head(model, 256, 192), model, edit)
    return make


def yaws(heads):
    return yaw_pitch_roll_from_matrix(matrix_from_axis_angle(heads.rotation_radians))[0]


def same(first, second, tolerance=1e-5):
    for name, value in vars(first).items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            torch.testing.assert_close(value, getattr(second, name), atol=tolerance, rtol=tolerance, msg=name)


# --- keyframes

def test_two_keyframes_are_a_blend(posed):
    a, b = posed(-40), posed(40, x=0.2, smile=1.0)
    for easing in ("linear", "ease in and out"):
        keys = Keyframes().with_key(Keyframe(a, 0, easing)).with_key(Keyframe(b, 8))
        same(blend_keyframes(keys, 9), blend(a, b, 9, easing))


def test_every_keyframe_stands_at_its_frame_and_ends_hold(posed):
    keys = Keyframes()
    for frame, yaw in ((9, -30), (2, 0), (5, 60)):          # any order
        keys = keys.with_key(Keyframe(posed(yaw), frame))
    angles = yaws(blend_keyframes(keys, 12))
    assert angles[[2, 5, 9]].tolist() == pytest.approx([0, 60, -30], abs=1e-3)
    assert angles[:3].tolist() == pytest.approx([0] * 3, abs=1e-3)
    assert angles[9:].tolist() == pytest.approx([-30] * 3, abs=1e-3)
    assert all(b > a for a, b in itertools.pairwise(angles[2:6].tolist()))


def test_one_keyframe_holds_throughout(posed):
    heads = blend_keyframes(Keyframes().with_key(Keyframe(posed(20), 3)), 5)
    assert yaws(heads).tolist() == pytest.approx([20] * 5, abs=1e-3)


@pytest.mark.parametrize(("change", "words"), [
    (lambda keys, posed: keys.with_key(Keyframe(posed(1), 4)), "different frames"),
    (lambda keys, posed: keys.with_key(Keyframe(Head.stack([posed(1), posed(2)]), 5)), "single head"),
    (lambda keys, posed: keys.with_key(Keyframe(posed(1), -1)), "0 or more"),
    (lambda keys, posed: keys.with_key(Keyframe(posed(1), 5, "wobble")), "easing"),
    (lambda keys, posed: keys.with_key(Keyframe(posed(1).replace(width=999), 5)), "one size"),
    (lambda keys, posed: keys.with_key(Keyframe(posed(1).replace(model_fingerprint="other"), 5)), "one head model"),
    (lambda keys, posed: blend_keyframes(keys, 4), "frames 0 to 3"),
    (lambda keys, posed: blend_keyframes(Keyframes(), 4), "at least one head"),
])
def test_a_timeline_that_cannot_be_is_refused_in_a_sentence(posed, change, words):
    with pytest.raises(InputError, match=words):
        change(Keyframes().with_key(Keyframe(posed(), 4)), posed)


# --- gaps

def test_a_gap_is_crossed_on_the_shortest_way_and_ends_hold(posed):
    heads = Head.stack([posed(yaw) for yaw in (99, 0, 99, 99, 30, 99)])
    heads = heads.replace(present=torch.tensor([False, True, False, False, True, False]))
    filled = fill_gaps(heads)
    assert bool(filled.present.all())
    assert yaws(filled).tolist() == pytest.approx([0, 0, 10, 20, 30, 30], abs=1e-3)


def test_a_clip_without_any_face_is_refused(posed):
    with pytest.raises(InputError, match="at least one frame"):
        fill_gaps(posed().replace(present=torch.tensor([False])))


# --- smoothing

def track(posed, count=41, jitter=0.0):
    noise = torch.randn(count, 3, generator=torch.Generator().manual_seed(3)) * jitter
    return Head.stack([posed(yaw=20 * math.sin(i / 6) + 8 * n[0], x=0.1 * math.sin(i / 8) + 0.02 * n[1], scale=1 + 0.05 * n[2])
                  for i, n in enumerate(noise.tolist())])


def test_smoothing_nothing_changes_nothing(posed, model):
    heads = track(posed, 9, 1.0)
    assert smooth(heads, model, 0.0, FPS) is heads


def test_a_still_head_stays_still(posed, model):
    heads = Head.stack([posed(25, 0.1, 1.2, 0.5)] * 15)
    still = smooth(heads, model, 0.7, FPS)
    same(still, heads, 1e-4)                                # float32 placing at 256 pixels


def test_smoothing_looks_both_ways(posed, model):
    """The same clip backwards gives the same heads backwards: nothing lags."""
    heads = track(posed, 21, 1.0)
    def backwards(batch):
        return batch.replace(**{name: value.flip(0) for name, value in vars(batch).items() if isinstance(value, torch.Tensor)})
    same(backwards(smooth(backwards(heads), model, 0.5, FPS)), smooth(heads, model, 0.5, FPS), 1e-3)


def test_smoothing_takes_jitter_and_leaves_the_movement(posed, model):
    clean, shaky = track(posed), track(posed, jitter=1.0)
    calm = smooth(shaky, model, 0.4, FPS)

    def jitter(values):
        return float(values.diff(n=2, dim=0).abs().mean())
    for measure in (yaws, lambda heads: pivot(heads, model), pixels_per_unit):
        assert jitter(measure(calm)) < 0.2 * jitter(measure(shaky))
    inner = slice(6, -6)
    before, after = ((yaws(heads) - yaws(clean))[inner].abs().mean() for heads in (shaky, calm))
    assert after < 0.6 * before, "nearer to the true movement than the shaky heads"


def test_averaged_rotations_are_rotations(posed, model):
    heads = Head.stack([posed(yaw, pitch=pitch) for yaw, pitch in ((-170, 0), (170, 20), (90, -60), (0, 0), (100, 45))])
    matrices = matrix_from_axis_angle(smooth(heads, model, 1.0, FPS).rotation_radians)
    torch.testing.assert_close(matrices @ matrices.transpose(1, 2), torch.eye(3).expand_as(matrices), atol=1e-5, rtol=0)
    assert torch.linalg.det(matrices).min() > 0.999


def test_absent_frames_weigh_nothing(posed, model):
    heads = Head.stack([posed(10), posed(10), posed(-80), posed(10), posed(10)])
    heads = heads.replace(present=torch.tensor([True, True, False, True, True]))
    assert yaws(smooth(heads, model, 1.0, FPS)).tolist() == pytest.approx([10, 10, -80, 10, 10], abs=1e-2)


def test_an_empty_stretch_longer_than_the_averaging_stays_as_it_is(posed, model):
    """What the codes of an absent head hold, NaN included, reaches no other frame and breaks nothing."""
    heads = Head.stack([posed(10)] * 3 + [posed(0)] * 40 + [posed(10)] * 3)
    heads = heads.replace(present=torch.tensor([True] * 3 + [False] * 40 + [True] * 3))
    heads.expression[5:10] = math.nan
    calm = smooth(heads, model, 0.3, FPS)
    for name, value in vars(calm).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value[3:43], getattr(heads, name)[3:43]) or name == "expression"
            assert bool(value[heads.present].isfinite().all()), name
    assert yaws(calm)[heads.present].tolist() == pytest.approx([10] * 6, abs=1e-2)


def test_several_gaps_are_filled_each_from_its_own_neighbours(posed):
    heads = Head.stack([posed(0), posed(30)] * 4)
    holes = heads.replace(present=torch.arange(8) % 4 != 2)
    filled = fill_gaps(holes)
    assert yaws(filled).tolist() == pytest.approx([0, 30, 30, 30, 0, 30, 30, 30], abs=1e-3)


def test_a_shot_has_one_person_in_one_light(posed):
    heads = Head.stack([posed()] * 5)
    heads = heads.replace(identity=heads.identity + torch.tensor([0.0, 0.1, 0.2, 0.3, 50.0])[:, None])
    still = steady(heads)
    assert torch.allclose(still.identity, torch.full_like(still.identity, 0.2)), "one wild frame moves a median little"
    assert torch.equal(still.light[0], still.light[-1])


def test_a_strip_shows_both_ends():
    assert list(strip_frames(5)) == [0, 1, 2, 3, 4]
    chosen = strip_frames(1000)
    assert (len(chosen), chosen[0], chosen[-1]) == (12, 0, 999)


# --- following one face

def face(x, y, size):
    return Face(torch.tensor([x - size / 2, y - size / 2, x + size / 2, y + size / 2]), 1.0)


def test_the_track_stays_with_its_person():
    small, big = [face(100 + 3 * i, 100, 40) for i in range(6)], [face(300 - 3 * i, 100, 60) for i in range(6)]
    frames = [(small[0], big[0]), (small[1], big[1]), (small[2],), (big[3], small[3]), (), (small[5], big[5])]
    chosen = Track().choose(Faces(tuple(frames), 400, 200)).per_image
    assert [found[0] if found else None for found in chosen] == [big[0], big[1], None, big[3], None, big[5]]


def test_the_track_goes_on_across_pieces_of_a_clip():
    steps = Track()
    first = steps.choose(Faces(((face(50, 50, 30), face(200, 50, 40)),), 300, 100))
    second = steps.choose(Faces(((face(55, 50, 60), face(204, 50, 38)),), 300, 100))
    assert first.per_image[0][0].box_xyxy[0] == 180
    assert second.per_image[0][0].box_xyxy[0] == 185


def paths(*walks):
    """Frames of the walks: each a list of places, None where that person is not seen."""
    return Faces(tuple(tuple(face(x, 100, size) for x, size in frame if x is not None) for frame in zip(*walks, strict=True)),
                 800, 200)


def downwards(frames):
    """The same walks from top to bottom."""
    turned = tuple(tuple(Face(one.box_xyxy[[1, 0, 3, 2]], 1.0) for one in found) for found in frames.per_image)
    return Faces(turned, frames.height, frames.width)


def test_following_knows_no_direction():
    right, left = [(100 + 15 * i, 60) for i in range(41)], [(700 - 15 * i, 55) for i in range(41)]
    chosen = Track().choose(downwards(paths(right, left))).per_image
    assert [float(found[0].box_xyxy[[1, 3]].mean()) for found in chosen] == [x for x, _ in right]


@pytest.mark.parametrize(("step", "followed"), [(89, True), (91, False)])
def test_a_face_moves_at_most_one_and_a_half_of_its_sizes_between_frames(step, followed):
    assert along(paths([(100, 60), (100 + step, 60)])) == [100, 100 + step if followed else None]


@pytest.mark.parametrize(("step", "followed"), [(179, True), (181, False)])
def test_and_as_much_more_for_each_frame_missed(step, followed):
    assert along(paths([(100, 60), (None, 60), (100 + step, 60)])) == [100, None, 100 + step if followed else None]


def test_the_first_face_is_the_largest_by_area():
    wide, square = Face(torch.tensor([0.0, 0.0, 100.0, 10.0]), 1.0), Face(torch.tensor([200.0, 0.0, 240.0, 40.0]), 1.0)
    assert Track().choose(Faces(((wide, square),), 300, 100)).per_image[0][0] is square


def along(frames):
    return [None if not found else float(found[0].box_xyxy[[0, 2]].mean()) for found in Track().choose(frames).per_image]


def test_somebody_who_walks_past_in_front_does_not_take_over():
    """The one who is followed stands at 400 and is hidden while the other passes."""
    passing = [(20 * i, 50) for i in range(41)]
    standing = [(None if abs(x - 400) < 45 else 400, 60) for x, _ in passing]
    assert along(paths(standing, passing)) == [x for x, _ in standing]
    assert along(paths(passing, standing)) == [x for x, _ in standing], "in whatever order they are found"


def test_who_walks_past_behind_somebody_is_found_again_on_the_other_side():
    walking = [(20 * i, 60) for i in range(41)]
    hidden = [(None if abs(x - 400) < 45 else x, size) for x, size in walking]
    assert along(paths(hidden, [(400, 55)] * 41)) == [x for x, _ in hidden]


def test_two_who_cross_and_are_both_seen_are_not_swapped():
    right, left = [(100 + 15 * i, 60) for i in range(41)], [(700 - 15 * i, 55) for i in range(41)]
    assert along(paths(right, left)) == [x for x, _ in right]


def test_after_a_cut_the_one_who_is_there_is_followed():
    """Lost for as long as it takes to believe it, and never for good."""
    cut = along(paths([(100, 60)] * 5 + [(700, 60)] * 20))
    assert cut[:5] == [100] * 5
    assert cut[5] is None
    assert cut[-10:] == [700] * 10


def test_who_leaves_and_comes_back_elsewhere_is_followed_on():
    there = [(700 + 10 * i, 60) for i in range(5)] + [(None, 60)] * 12 + [(20 * i, 60) for i in range(10)]
    assert along(paths(there)) == [x for x, _ in there]


# --- ends of their ranges

def test_refusals_of_a_timeline_say_what_came(posed):
    keys = Keyframes().with_key(Keyframe(posed(), 4))
    for change, words in ((lambda: keys.with_key(Keyframe(posed(1).replace(height=9), 5)),
                           "one size, but got 256 x 192 and 256 x 9: transfer"),
                          (lambda: keys.with_key(Keyframe(posed(1), 4)), "different frames, but got two at frame 4: move"),
                          (lambda: blend_keyframes(keys, 4), "keyframes must stand at frames 0 to 3, but got 4: raise"),
                          (lambda: blend_keyframes(keys, 0), "frames must be at least 1, but got 0: choose"),
                          (lambda: keys.with_key(Keyframe(Head.stack([posed(), posed()]), 5)),
                           "but got a batch of 2: fit a single")):
        with pytest.raises(InputError, match=words):
            change()
    assert len(blend_keyframes(keys, 5)) == 5
    assert len(blend_keyframes(Keyframes().with_key(Keyframe(posed(), 0)), 1)) == 1


def test_a_shot_of_one_frame_is_steady_and_codes_may_be_empty(posed):
    one = posed(20, smile=0.5)
    same(steady(one), one)
    bare = one.replace(texture=one.texture[:, :0])
    assert steady(bare).texture.shape == (1, 0)


def test_smoothing_one_second_at_one_frame_a_second_reaches_the_neighbours(posed, model):
    """0.2 of a frame: the kernel has a reach of one frame at least, and weighs a neighbour by exp(-12.5)."""
    heads = Head.stack([posed(0), posed(40), posed(0)])
    calm = yaws(smooth(heads, model, 1.0, 1.0))
    share = math.exp(-12.5)
    assert calm[1].item() == pytest.approx(40 / (1 + 2 * share), abs=1e-2)
    assert smooth(heads, model, 0.004, 1.0) is heads                  # 0.0008 of a frame
    assert smooth(heads, model, 0.006, 1.0) is not heads


def test_the_largest_of_the_first_frame_with_anybody_is_followed():
    walks = paths([(None, 0), (100, 50), (100, 50)], [(None, 0), (400, 60), (None, 0)])
    first, second, third = Track().choose(walks).per_image
    assert first == third == (), "nobody is there yet, and then somebody else alone"
    assert second == walks.per_image[1][1:], "the larger one of two"


def test_forgotten_people_are_no_longer_waited_for():
    """Who has left for more than fifty frames, beside the one who is followed, is forgotten."""
    track = Track()
    track.choose(paths([(100, 60)], [(400, 50)]))
    for _ in range(50):
        track.choose(paths([(100, 60)]))
    assert len(track._others) == 1
    track.choose(paths([(100, 60)]))
    assert track._others == []


def test_whoever_was_seen_last_goes_first():
    """Seen a frame ago before seen earlier; then by the place where they are due and by their size."""
    path = _Path((100.0, 100.0, 50.0))
    path.seen((110.0, 105.0, 50.0))
    assert (path.step, path.missed) == ((10.0, 5.0), 0)
    assert path.surprise((120.0, 110.0, 50.0)) == (False, 0.0)
    assert path.surprise((120.0, 160.0, 50.0))[1] == pytest.approx(1.0)
    assert path.surprise((120.0, 110.0, 100.0))[1] == pytest.approx(math.log(2))
    assert path.surprise((120.0, 110.0, 25.0))[1] == pytest.approx(math.log(2))
    path.missed = 1
    assert path.surprise((110.0, 105.0, 50.0)) == (True, 0.0), "who was missed is due where they were"
    assert path.reaches((110.0, 180.0, 9.0), 1)
    assert not path.reaches((110.0, 180.1, 9.0), 1)
    assert path.reaches((110.0, 255.0, 9.0), 2)


def test_a_face_without_a_size_counts_as_a_pixel():
    empty = Face(torch.tensor([5.0, 5.0, 5.0, 5.0]), 1.0)
    assert Track().choose(Faces(((empty,),), 9, 9)).per_image == ((empty,),)


@pytest.mark.parametrize(("count", "frames"), [(12, list(range(12))), (13, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]),
                                               (23, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22])])
def test_a_strip_s_frames_are_evenly_chosen(count, frames):
    assert list(strip_frames(count)) == frames


def test_a_strip_says_which_frames_were_filled_in_and_which_have_no_face(posed, model, monkeypatch):
    heads = Head.stack([posed(), posed(), posed()]).replace(present=torch.tensor([True, False, False]))
    said, seen = [], []
    monkeypatch.setattr(strips, "strip", lambda pictures, captions: said.append((len(pictures), captions)))
    strips.strip_of_heads(heads, model, step=seen.append)
    strips.strip_of_heads(heads, model, (False, True, False))
    assert said == [(3, ["0", "1 no face", "2 no face"]), (3, ["0", "1 filled in", "2 no face"])]
    assert seen == [1, 2, 3]
    assert max(strips.preview(heads[0], model, strips.SIDE).shape[2:]) == 160
