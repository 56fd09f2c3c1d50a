"""Taking parts of another head, and the heads between two: who it is stays, and every place of a batch keeps its meaning."""
from __future__ import annotations

import itertools

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.easings import EASINGS
from caphuman_core.flow import Head
from caphuman_core.head.camera import to_picture
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.sequence import smooth, steady
from caphuman_core.head.edit.transfer import blend, match_batch, mix, transfer
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import scale_of

GROUPS = {"position": {"camera", "crop_to_picture", "width", "height"}, "pose": {"rotation_radians", "neck_share"},
          "expression": {"expression", "jaw_radians", "gaze_radians"}, "lighting": {"light"}}


@pytest.fixture(scope="module")
def model():
    return load_builtin()


def random_head(model, seed, count=1, width=100, height=80):
    """A batch in which no number is that of another seed's."""
    generator = torch.Generator().manual_seed(seed)
    head = new_head(model, width, height, batch=count)
    return head.replace(**{name: value + torch.rand(value.shape, generator=generator) * 0.3
                           for name, value in head._tensors().items() if value.is_floating_point()})


@pytest.mark.parametrize("chosen", [(), *((name,) for name in GROUPS), ("pose", "lighting"), tuple(GROUPS)])
def test_the_chosen_parts_come_from_the_target_and_all_else_stays(model, chosen):
    source, target = random_head(model, 1), random_head(model, 2, width=64, height=96)
    mixed = transfer(source, target, **{name: name in chosen for name in GROUPS})
    taken = set().union(*(GROUPS[name] for name in chosen))
    for name, value in vars(mixed).items():
        wanted = getattr(target if name in taken else source, name)
        assert torch.equal(value, wanted) if torch.is_tensor(value) else value == wanted, name


@pytest.mark.parametrize("part", GROUPS)
def test_a_place_is_filled_only_where_both_have_a_head(model, part):
    source = random_head(model, 1, 4).replace(present=torch.tensor([True, True, False, False]))
    target = random_head(model, 2, 4).replace(present=torch.tensor([True, False, True, False]))
    assert transfer(source, target, **{name: name == part for name in GROUPS}).present.tolist() == [True, False, False, False]
    nothing = transfer(source, target, **dict.fromkeys(GROUPS, False))
    assert nothing.present.tolist() == source.present.tolist(), "nothing is taken: the target does not matter"


def test_one_head_serves_a_whole_batch_on_either_side(model):
    one, three = random_head(model, 1), random_head(model, 2, 3)
    assert torch.equal(transfer(three, one, False, True, False, False).rotation_radians, one.rotation_radians.expand(3, 3))
    assert torch.equal(transfer(one, three, False, True, False, False).rotation_radians, three.rotation_radians)
    assert [len(head) for head in match_batch(one, three)] == [3, 3]
    with pytest.raises(InputError, match="heads must come one to one, or one for all, but got 2 and 3"):
        match_batch(random_head(model, 1, 2), three)
    with pytest.raises(InputError, match=f"heads must be of one head model, but got models {one.model_fingerprint} and other"):
        transfer(one, three.replace(model_fingerprint="other"), True, True, True, True)


# --- between two heads

def test_codes_and_light_go_straight_and_sizes_by_equal_ratios(model):
    first, last = random_head(model, 1), random_head(model, 2)
    last = last.replace(camera=last.camera * torch.tensor([4.0, 1.0, 1.0]))
    heads = mix(first, last, torch.tensor([0.0, 0.25, 1.0]))
    for name in ("identity", "expression", "texture", "light"):
        a, b = getattr(first, name)[0], getattr(last, name)[0]
        torch.testing.assert_close(getattr(heads, name), torch.stack([a, a + (b - a) / 4, b]), atol=1e-6, rtol=0)
    sizes = heads.camera[:, 0]
    assert float(sizes[1] / sizes[0]) == pytest.approx(float(sizes[2] / sizes[0]) ** 0.25, rel=1e-5)
    torch.testing.assert_close(heads.camera[1, 1:], first.camera[0, 1:] * 0.75 + last.camera[0, 1:] * 0.25)


def test_the_middle_of_the_crop_moves_on_a_straight_line_while_it_grows(model):
    small = new_head(model, 200, 160)
    large = edit_head(small, model, Edit(scale=4.0, x=0.3, y=-0.2))
    middle = torch.tensor([112.0, 112.0, 1.0])
    heads = mix(small, large, torch.linspace(0, 1, 5))
    at = (middle @ heads.crop_to_picture)[:, :2]
    torch.testing.assert_close(at.diff(dim=0), at.diff(dim=0)[:1].expand(4, 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(scale_of(heads), torch.tensor([1.0, 2 ** 0.5, 2.0, 2 ** 1.5, 4.0]), atol=1e-4, rtol=0)
    nose = torch.tensor([[[0.0, 0.0, 0.1]]])
    for place, end in ((0, small), (-1, large)):
        torch.testing.assert_close(to_picture(heads[place], nose), to_picture(end, nose), atol=1e-3, rtol=0)


def test_a_blend_has_its_ends_its_middle_and_its_easing(model):
    first, last = random_head(model, 1), random_head(model, 2)
    torch.testing.assert_close(blend(first, last, 1).light, (first.light + last.light) / 2)
    torch.testing.assert_close(blend(first, last, 2).light, torch.cat([first.light, last.light]))
    for name, easing in EASINGS.items():
        way = blend(first, last, 5, name).expression[:, 0]
        share = (way - first.expression[0, 0]) / (last.expression[0, 0] - first.expression[0, 0])
        assert share.tolist() == pytest.approx([easing(step / 4) for step in range(5)], abs=1e-4)
    gone = last.replace(present=torch.tensor([False]))
    assert blend(first, gone, 3).present.tolist() == [False] * 3


def test_easings_start_and_end_as_they_say():
    """All go from 0 to 1; "in" starts slowly, "out" ends slowly, both do both, by the parabola and the cubic of the names."""
    quarter = {name: easing(0.25) for name, easing in EASINGS.items()}
    assert quarter == {"linear": 0.25, "ease in": 0.0625, "ease out": 0.4375, "ease in and out": 0.15625}
    for easing in EASINGS.values():
        steps = [easing(step / 20) for step in range(21)]
        assert (steps[0], steps[-1]) == (0, 1)
        assert all(after > before for before, after in itertools.pairwise(steps))


@pytest.mark.parametrize(("change", "words"), [
    (lambda a, b: blend(Head.stack([a, a]), b, 3), "heads to blend must be single heads, but got batches of 2 and 1"),
    (lambda a, b: blend(a, b.replace(width=7), 3), r"must be in pictures of one size, but got 100 x 80 and 7 x 80"),
    (lambda a, b: blend(a, b.replace(height=7), 3), r"must be in pictures of one size, but got 100 x 80 and 100 x 7"),
    (lambda a, b: blend(a, b, 0), "frames must be at least 1, but got 0"),
    (lambda a, b: blend(a, b, 2, "wobble"), "easing must be one of linear, .*, but got 'wobble'"),
    (lambda a, b: blend(a, b.replace(model_fingerprint="other"), 2), "heads must be of one head model"),
])
def test_what_cannot_be_blended_is_refused(model, change, words):
    with pytest.raises(InputError, match=words):
        change(random_head(model, 1), random_head(model, 2))


# --- many frames

def test_averaged_sizes_are_geometric_means(model):
    """A head that is 1 and 4 times as large by turns is steadied to twice, not to two and a half times, its size."""
    head = new_head(model, 200, 160)
    large = edit_head(head, model, Edit(scale=4.0))
    heads = Head.stack([head, large] * 20)
    calm = smooth(heads, model, 1.0, 25.0)                        # a standard deviation of five frames
    torch.testing.assert_close(scale_of(calm)[15:25], torch.full((10,), 2.0), atol=0.02, rtol=0)


def test_the_averaging_is_a_gaussian_of_a_fifth_of_a_second(model):
    """One frame that smiles, among 41: the amounts around it are the kernel."""
    heads = new_head(model, 64, 64, batch=41)
    smile = heads.expression.clone()
    smile[20, 0] = 1.0
    calm = smooth(heads.replace(expression=smile), model, 0.5, 30.0).expression[:, 0]          # 0.5 * 0.2 s * 30 = 3 frames
    steps = torch.arange(-20, 21).double()
    kernel = torch.exp(-0.5 * (steps / 3) ** 2) * (steps.abs() <= 9)                           # cut off at three deviations
    torch.testing.assert_close(calm.double(), kernel / kernel.sum(), atol=1e-6, rtol=0)


def test_nothing_is_smoothed_below_a_thousandth_of_a_frame_or_alone(model):
    two, one = new_head(model, 64, 64, batch=2), new_head(model, 64, 64)
    assert smooth(two, model, 0.0, 25.0) is two
    assert smooth(one, model, 1.0, 25.0) is one
    for wrong in (-0.1, 1.1):
        with pytest.raises(InputError, match=f"smoothing must be from 0 to 1, but got {wrong}"):
            smooth(two, model, wrong, 25.0)


def test_a_shot_s_person_and_light_are_medians_of_the_frames_with_a_head(model):
    heads = new_head(model, 64, 64, batch=4).replace(present=torch.tensor([True, True, True, False]))
    values = torch.tensor([1.0, 2.0, 9.0, 100.0])
    heads = heads.replace(identity=heads.identity + values[:, None], texture=heads.texture - values[:, None],
                          light=heads.light * 0 + values[:, None, None])
    still = steady(heads)
    assert bool((still.identity == 2).all() and (still.texture == -2).all() and (still.light == 2).all())
    assert still.present.tolist() == heads.present.tolist()
