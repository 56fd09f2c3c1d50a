"""A face detailer samples a part of the picture with the whole conditioning: Head in Region gives it the part's own head."""
from __future__ import annotations

from collections import namedtuple

import pytest
import stand_ins
import torch
from narrow_world import apply, hint, identity, noise, one, residuals, sample, text

# The Impact Pack's own fields of one found face, in its order.
SEG = namedtuple("SEG", "cropped_image cropped_mask confidence crop_region bbox label control_net_wrapper")
SIDE = 128
BBOXES = [(16, 24, 40, 48), (80, 40, 112, 72)]        # two faces of one picture


def segs(side=SIDE, factor=2.0):
    regions = [stand_ins.crop_region([edge * side / SIDE for edge in box], factor, side, side) for box in BBOXES]
    return (side, side), [SEG(None, None, 0.9, region, None, "face", None) for region in regions]


def region_of(call, world, **inputs):
    names = ["head", "hint", "region", "x", "y", "width", "height", "draw_width", "draw_height"]
    defaults = {"x": 0, "y": 0, "width": 512, "height": 512, "grow": 1.0, "side": 64}
    return dict(zip(names, call("CapHumanHeadInRegion", **{**defaults, **inputs}), strict=True))


@pytest.fixture
def posed(world):
    return hint(world, height=SIDE, width=SIDE)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("side", [SIDE, 2 * SIDE])
def test_segs_of_a_detailer_are_its_crop_exactly(call, world, posed, index, side):
    """Also where the SEGS were found in an enlarged picture."""
    out = region_of(call, world, hint=posed, segs=segs(side), index=index)
    x1, y1, x2, y2 = segs()[1][index].crop_region
    assert out["region"] == {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    assert torch.equal(out["hint"].maps, posed.maps[..., y1:y2, x1:x2])
    assert torch.equal(out["hint"].mask, posed.mask[..., y1:y2, x1:x2])


def test_every_way_to_name_a_region_gives_the_same(call, world, posed):
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, 24:48, 16:40] = 1
    box = {"x": 16, "y": 24, "width": 24, "height": 24}
    ways = [{"x": 16, "y": 24, "width": 24, "height": 24}, {"mask": mask}, {"bounding_box": box}, {"bounding_box": [box]},
            {"bounding_box": [[{**box, "x": 0}, box]], "index": 1},
            {"segs": ((SIDE, SIDE), [SEG(*[None] * 3, [16, 24, 40, 48], *[None] * 3)])}]
    for way in ways:
        assert region_of(call, world, hint=posed, **way)["region"] == box
    assert region_of(call, world, hint=posed, grow=2.0, **ways[0])["region"] == {"x": 4, "y": 12, "width": 48, "height": 48}


def test_the_host_knows_the_node(run, host):
    """Through the host's own validation: nothing but numbers is needed, and boxes are a socket."""
    schema = host.NODE_CLASS_MAPPINGS["CapHumanHeadInRegion"].INPUT_TYPES()
    assert schema["optional"]["bounding_box"][1]["forceInput"] is True
    numbers = {"x": 64, "y": 32, "width": 128, "height": 192, "grow": 1.0, "side": 256}
    prompt = {"1": {"class_type": "CapHumanLoadHeadModel", "inputs": {"head_model_name": "built-in"}},
              "2": {"class_type": "CapHumanNewHead", "inputs": {"head_model": ["1", 0], "width": 256, "height": 256}},
              "3": {"class_type": "CapHumanHeadInRegion", "inputs": {"head": ["2", 0], **numbers}},
              "4": {"class_type": "CapHumanRenderHead",
                    "inputs": {"head": ["3", 0], "head_model": ["1", 0], "width": ["3", 7], "height": ["3", 8],
                               "rasterizer": "torch", "framing": "stretch"}},
              "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 3]}}}
    assert run(prompt)["success"]


def detailed(world, pair, region, seed=5):
    """What a detailer does: the region's latents, sampled with the conditioning as it is."""
    return sample(world, pair, size=(1, 4, region["height"] // 8, region["width"] // 8), seed=seed)


def test_two_faces_of_one_picture_are_each_detailed_as_their_own_person(call, world, posed):
    people = [identity(world, seed=40), identity(world, seed=60)]
    found = segs(factor=2.0)
    pictures = []
    for index, who in enumerate(people):
        out = region_of(call, world, hint=posed, segs=found, index=index)
        pair = apply(call, world, who=who, posed=out["hint"])
        x1, y1, x2, y2 = found[1][index].crop_region
        cut = world.flow.HeadHint(posed.maps[..., y1:y2, x1:x2], posed.mask[..., y1:y2, x1:x2], posed.present)
        pictures.append(detailed(world, pair, out["region"]))
        assert torch.equal(pictures[-1], detailed(world, apply(call, world, who=who, posed=cut), out["region"]))
        other = apply(call, world, who=people[1 - index], posed=out["hint"])
        assert not torch.allclose(pictures[-1], detailed(world, other, out["region"]), atol=1e-3)


@pytest.mark.parametrize(("size", "named"), [((8, 16), True), ((8, 8), False)])
def test_a_hint_of_another_shape_is_warned_of_with_the_nodes_name(call, world, caplog, size, named):
    residuals(one(call, world, posed=hint(world, height=SIDE, width=SIDE)), world, noise(1, 4, *size))
    assert "the hint is 128x128 pixels but the picture is" in caplog.text
    assert ("CapHuman Head in Region" in caplog.text) is named


@pytest.mark.parametrize(("inputs", "words"), [
    ({}, "head or hint must be connected"), ({"index": 7, "segs": segs()}, "segs must hold number 7"),
    ({"mask": torch.zeros(1, 8, 8)}, "mask must select some pixels"), ({"bounding_box": []}, "bounding_box must hold number 0"),
    ({"bounding_box": {"x": 4, "y": 4, "width": 0, "height": 9}}, "region must have a width and a height"),
    ({"mask": torch.ones(1, 8, 8), "segs": segs()}, "must come from one input")])
def test_what_is_missing_is_told_in_a_sentence(call, world, part, posed, inputs, words):
    hints = {} if not inputs else {"hint": posed}
    with pytest.raises(part("caphuman_core.check").InputError, match=words) as error:
        region_of(call, world, **hints, **inputs)
    assert "\n" not in str(error.value)


def test_two_people_combined_by_the_host_are_averaged(call, world):
    """What the tuning page says: the host averages what Conditioning Combine joins; two Apply nodes in a row do not."""
    import nodes
    a, b = ({"who": identity(world, seed=seed), "posed": hint(world, seed=seed + 5)} for seed in (40, 60))
    pairs = [apply(call, world, **person) for person in (a, b)]
    joined = nodes.ConditioningCombine().combine(pairs[0][0], pairs[1][0])[0]
    one_step = {"steps": 1, "cfg": 1.0}
    mean = sum(sample(world, pair, **one_step) for pair in pairs) / 2
    torch.testing.assert_close(sample(world, (joined, text(2)), **one_step), mean, rtol=1e-3, atol=1e-3)
    both = sample(world, apply(call, world, *apply(call, world, **a), **b), **one_step)
    assert not torch.allclose(both, mean, atol=1e-2)
