"""CapFace's host-free parts: names and shapes, mask, frames, token rule, strength over the run."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from caphuman_core.capface import frames, keys, layout, mask, schedule
from caphuman_core.capface.about import About, about_of, read_about
from caphuman_core.check import InputError
from caphuman_core.files.weights import write_safetensors
from tools.stand_ins import detfill, diffusion_nets


def test_layout_is_the_checkpoints():
    parts = json.loads((diffusion_nets.GOLDEN / "diffusion_keys.json").read_text())["parts"]
    wanted = {keys.plain_key(key): tuple(shape) for part in ("control_model", "id_linear", "img_linear")
              for key, shape in parts[part]["keys"].items()}
    assert layout.parameter_shapes() == wanted


def test_other_networks_of_a_checkpoint_are_not_capface():
    parts = json.loads((diffusion_nets.GOLDEN / "diffusion_keys.json").read_text())["parts"]
    for part in ("control_cond_stage_model", "model.diffusion_model"):
        assert not any(keys.is_capface_key(key) for key in parts[part]["keys"])


@pytest.mark.parametrize(("key", "shape"), [("control_model.time_embed.0.weight", (1280, 320)), ("a.bias", (1 << 20) + 7),
                                            ("control_model.mask_predict.0.bias", (1,)), ("n.weight", (320,))])
def test_fast_fill_is_the_rule(key, shape):
    shape = (shape,) if isinstance(shape, int) else shape
    np.testing.assert_array_equal(diffusion_nets.fast_fill(key, shape).numpy(), detfill.fill(key, shape))


def _save(path, state):
    torch.save(state, path)
    return path


def _tiny(prefix):
    """Every CapFace key with one shared number as its storage: a file of kilobytes with the real shapes."""
    return {key if key.startswith(keys.PROJECTIONS) else prefix + key: torch.zeros(1).expand(shape)
            for key, shape in layout.parameter_shapes().items()}


@pytest.mark.parametrize("prefix", ["control_model.", ""])
def test_reads_capface_alone(tmp_path, prefix):
    state = keys.read_capface(_save(tmp_path / "x.ckpt", _tiny(prefix)))
    assert {key: tuple(value.shape) for key, value in state.items()} == layout.parameter_shapes()


def test_reads_capface_of_a_full_checkpoint(tmp_path):
    others = {"model.diffusion_model.out.2.bias": torch.zeros(4), "first_stage_model.x": torch.zeros(1), "betas": torch.zeros(1000),
              "cond_stage_model.a.position_ids": torch.arange(3), "face_net.weight": torch.zeros(2)}
    path = _save(tmp_path / "x.ckpt", {"state_dict": {**_tiny("control_model."), **others}, "epoch": 3})
    assert set(keys.read_capface(path)) == set(layout.parameter_shapes())


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: {**s, "control_model.input_hint_block.0.weight": torch.zeros(16, 3, 3, 3)}, "ordinary ControlNet"),
    (lambda s: {k: v for k, v in s.items() if "mask_predict" not in k and "linear" not in k}, "ordinary ControlNet"),
    (lambda s: {"controlnet_cond_embedding.conv_in.weight": torch.zeros(16, 3, 3, 3)}, "ordinary ControlNet"),
    (lambda s: {"model.diffusion_model.out.2.bias": torch.zeros(4)}, "without CapFace"),
    (lambda s: {"fc.weight": torch.zeros(4)}, "such as 'fc.weight'"),
    (lambda s: {}, "0 other tensors"),
    (lambda s: {**s, "surprise.weight": torch.zeros(4)}, "unknown: surprise.weight"),
    (lambda s: {**s, "time_embed.0.bias": torch.zeros(1280)}, "given twice: time_embed.0.bias"),
    (lambda s: {**s, "control_model.time_embed.0.bias": torch.zeros(1280, dtype=torch.int64)}, "float type: time_embed.0.bias"),
])
def test_refuses_other_files_in_one_sentence(tmp_path, change, words):
    with pytest.raises(InputError) as error:
        keys.read_capface(_save(tmp_path / "x.ckpt", change(_tiny("control_model."))))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_refuses_a_truncated_file_in_one_sentence(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".ckpt":
        _save(path, {key: torch.zeros(1) for key in layout.parameter_shapes()})
    else:
        from safetensors.torch import save_file
        save_file({key: torch.zeros(9) for key in layout.parameter_shapes()}, path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match="broken download") as error:
        keys.read_capface(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("shape", "size", "kept"), [
    ((100, 200), (8, 8), (100, 100)), ((200, 100), (8, 8), (100, 100)), ((64, 64), (8, 16), (32, 64)), ((3, 64), (8, 8), (3, 4)),
    ((1, 64), (8, 8), (1, 2)), ((200, 1), (8, 8), (2, 1)), ((1, 65), (8, 8), (1, 1)), ((1, 1), (64, 8), (1, 1))])
def test_the_middle_is_cut_and_a_pixel_is_left(shape, size, kept):
    picture = torch.arange(shape[0] * shape[1]).view(1, *shape)
    cut = mask.centre_cut(picture, size)
    assert tuple(cut.shape[1:]) == kept
    top, left = ((old - new) // 2 for old, new in zip(shape, kept, strict=True))
    assert int(cut[0, 0, 0]) == top * shape[1] + left


def test_mask_is_resized_without_antialiasing_then_thresholded():
    row = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]).expand(8, 8)[None, None]
    plain = mask.face_mask(row, (4, 4))[0, 0, 0]
    assert plain.tolist() == [0, 1, 0, 0]       # 0, 1, 0.5, 0: each cell is the mean of the two under it; 0.5 is not above 0.5
    assert mask.face_mask(row, (4, 4), soft=True)[0, 0, 0].tolist() == [0, 1, 0.5, 0]
    assert mask.face_mask(row, (2, 2), soft=True)[0, 0, 0].tolist() == [0.5, 0]        # columns 1, 2 and 5, 6
    antialiased = torch.nn.functional.interpolate(row, size=(2, 2), mode="bilinear", antialias=True)[0, 0, 0]
    assert antialiased.tolist() != [0.5, 0]     # it reads more columns: another mask
    assert mask.face_mask(row, (8, 8)).tolist() == row.tolist()


def test_predicted_masks_of_the_golden_run_at_each_resolution(golden):
    predicted = torch.from_numpy(golden("diffusion_apply_model")["plain_t601__mask0"])
    shares = diffusion_nets.index()["masks_at_scales_1_2_4_8"]["alpha/hint2 scale=8"]["share_above_0.5"]
    found = [float(mask.face_mask(predicted, (16 // s, 16 // s)).mean()) for s in (1, 2, 4, 8)]
    assert found == pytest.approx(shares, abs=1e-4)        # the index rounds to four digits


def test_frames_follow_the_hosts_rule():
    assert frames.entries_for_frames(1, range(4)) == [0, 0, 0, 0]
    assert frames.entries_for_frames(3, range(4)) == [0, 1, 2, 0]
    assert frames.entries_for_frames(5, range(4)) == [0, 1, 2, 3]
    assert frames.entries_for_frames(16, [7, 8, 9]) == [7, 8, 9]
    assert frames.value_for_frames([1.0, 0.5], range(4)) == [1.0, 0.5, 0.5, 0.5]


def test_identity_is_silent_above_tau_only():
    t = torch.tensor([0, 499, 500, 501, 999])
    assert frames.identity_heard(t, 500).tolist() == [1, 1, 1, 0, 0]
    assert frames.identity_heard(t, 0).tolist() == [1] * 5


def test_schedule_reads_points_and_eases():
    plan = schedule.parse_schedule("0: 1, 50%: 0.5\n1: 0")
    assert [plan.at(f) for f in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert schedule.parse_schedule("").at(0.3) == 1
    assert schedule.parse_schedule("0.5: 2").at(0.0) == schedule.parse_schedule("0.5: 2").at(1.0) == 2
    assert schedule.parse_schedule("0: 1, 1: 0", "hold").at(0.99) == 1
    for easing in schedule.CURVES:
        plan = schedule.parse_schedule("0.2: 1, 0.8: 3", easing)
        assert (plan.at(0.2), plan.at(0.8)) == (1, 3)
        values = [plan.at(f / 20) for f in range(21)]
        assert values == sorted(values)
    assert schedule.strengths(0.5, schedule.parse_schedule("0: 2"), (1.0, 0.5), 0.3, [0, 1, 2]) == [1.0, 0.5, 0.5]


@pytest.mark.parametrize("text", ["1", "a: 1", "0: x", "2: 1", "-0.1: 1", "101%: 1", "0: 1, 0: 2", "0: inf", "0: 1 1: 2", "nan: 1"])
def test_schedule_refuses_anything_else(text):
    with pytest.raises(InputError, match="strength_schedule"):
        schedule.parse_schedule(text)


def test_frame_strengths():
    assert schedule.parse_values("1, 0.5;0.25\n0") == (1, 0.5, 0.25, 0)
    assert schedule.parse_values(" ") == ()
    for text in ("x", "1 2", "nan"):
        with pytest.raises(InputError, match="frame_strengths"):
            schedule.parse_values(text)


@pytest.mark.parametrize("prefix", ["control_model.", ""])
def test_converted_file_holds_capface_alone(tmp_path, prefix, monkeypatch):
    from caphuman_core.files import convert as module
    from caphuman_core.files.convert import convert, find_jobs
    first = "input_hint_block.0.weight"                    # its shape tells CapFace from an ordinary ControlNet
    small = {key: torch.zeros(value.shape if key.endswith(first) else 1) for key, value in _tiny(prefix).items()}
    _save(tmp_path / "caphuman.ckpt", {**small, "model.diffusion_model.out.2.bias": torch.zeros(4)})
    (refused,) = find_jobs([tmp_path / "caphuman.ckpt"])
    assert "missing or of another shape" in refused        # with the real shapes
    monkeypatch.setattr(module, "parameter_shapes", lambda: {keys.plain_key(key): tuple(small[key].shape) for key in small})
    (job,) = find_jobs([tmp_path / "caphuman.ckpt"])
    written = convert(job, tmp_path / "out")
    state = keys.read_capface(written)
    assert set(state) == set(layout.parameter_shapes())


# --- what a file tells of itself

ABOUT = About(head_model="built-in", base_model="sd15.safetensors", steps="12000", licences='{"CC0-1.0": 3, "": 2}')


def test_what_a_file_tells_goes_into_its_header_and_comes_back():
    header = ABOUT.metadata()
    assert header == {"format": "caphuman-capface/1", "head_model": "built-in", "base_model": "sd15.safetensors", "steps": "12000",
                      "licences": '{"CC0-1.0": 3, "": 2}'}
    assert about_of({**header, "strange": "x"}) == ABOUT
    assert about_of({**header, "steps": 5}).steps == "5"
    assert about_of({**header, "format": "pt"}) == About()
    assert (ABOUT.known, About().known) == (True, False)


def test_what_a_file_tells_is_shown_in_lines():
    assert ABOUT.shown() == "head model: built-in;\ntrained: 12,000 steps for sd15.safetensors;\nphotos: CC0-1.0 (3), unknown (2)"
    assert About().shown() == "head model: not told"
    assert About(steps="many", base_model="b").shown() == "head model: not told;\ntrained: for b"
    assert About(steps="3", licences="{").shown() == "head model: not told;\ntrained: 3 steps;\nphotos: "
    assert About(licences="[1]").shown().endswith("photos: ")
    assert About(head_model="a\n" + "b" * 58).shown() == "head model: a?" + "b" * 58
    assert About(head_model="b" * 61).shown() == "head model: " + "b" * 60 + "..."


def test_a_file_s_own_words_are_read(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", {}, ABOUT.metadata())
    assert read_about(tmp_path / "a.safetensors") == ABOUT
    torch.save({}, tmp_path / "a.ckpt")
    assert read_about(tmp_path / "a.ckpt") == About()


# --- keys

@pytest.mark.parametrize(("change", "got"), [
    (lambda s: {**s, "control_model.input_hint_block.0.weight": torch.zeros(16, 3, 3, 3)},
     "an ordinary ControlNet (a 3-channel hint): load that"),
    (lambda s: {"controlnet_cond_embedding.conv_in.weight": torch.zeros(1)},
     "an ordinary ControlNet (diffusers keys): load that one with"),
    (lambda s: {k: v for k, v in s.items() if "mask_predict" not in k and "linear" not in k},
     "an ordinary ControlNet (a 9-channel hint): load"),
    (lambda s: {"first_stage_model.x": torch.zeros(1)},
     "a Stable Diffusion checkpoint without CapFace: put CapHuman's caphuman.ckpt"),
    (lambda s: {"b": torch.zeros(1), "a": torch.zeros(1)}, "2 other tensors such as 'b': put CapHuman's"), (lambda s: {},
                                                                                                            "0 other tensors: put"),
    (lambda s: {**s, **{f"x{i}": torch.zeros(1) for i in range(6)}}, "unknown: x0, x1, x2, x3, x4, x5: put"),
    (lambda s: {**s, **{f"x{i}": torch.zeros(1) for i in range(8)}}, "unknown: x0, x1, x2, x3, x4, x5 and 2 more: put"),
    (lambda s: {**s, "time_embed.0.bias": torch.zeros(1), "zero_convs.0.0.bias": torch.zeros(1)},
     "given twice: time_embed.0.bias, zero_convs.0.0.bias: put"),
    (lambda s: {**s, "id_linear.bias": torch.zeros(768, dtype=torch.int64)}, "not of a float type: id_linear.bias: put")])
def test_each_other_file_is_told_for_what_it_is(tmp_path, change, got):
    with pytest.raises(InputError) as error:
        keys.read_capface(_save(tmp_path / "x.ckpt", change(_tiny("control_model."))))
    assert str(error.value).startswith("CapFace file 'x.ckpt' must hold ")
    assert f"but got {got}" in str(error.value)


@pytest.mark.parametrize(("left", "right"), [("mask_predict.0.weight", "id_linear.weight"), ("id_linear.weight",
                                                                                             "mask_predict.0.weight")])
def test_part_of_a_capface_is_no_ordinary_controlnet(tmp_path, left, right):
    """Whether it is whole is asked later, against the network."""
    state = {"control_model.input_hint_block.0.weight": torch.zeros(16, 9, 3, 3),
             left if "linear" in left else f"control_model.{left}": torch.ones(1)}
    assert set(keys.read_capface(_save(tmp_path / "x.ckpt", state))) == {"input_hint_block.0.weight", left}
    assert right not in state


def test_blocks_of_capface_are_known_with_and_without_the_prefix():
    for key in ("control_model.anything", "id_linear.weight", "img_linear.bias", "time_embed.0.weight", "input_blocks.1.0.x",
                "zero_convs.0.0.x",
                "input_hint_block.0.weight", "middle_block.0.x", "middle_block_out.0.x", "mask_predict.0.weight"):
        assert keys.is_capface_key(key)
    for key in ("model.x", "x.id_linear.weight", "output_blocks.0.x", "label_emb.0"):
        assert not keys.is_capface_key(key)
    assert keys.plain_key("control_model.a.control_model.b") == "a.control_model.b"


# --- strength

def test_points_are_read_in_any_order_and_each_refusal_says_why():
    assert schedule.parse_schedule("1: 0; 0: 1,\n\n 25%:0.5").points == ((0.0, 1.0), (0.25, 0.5), (1.0, 0.0))
    assert schedule.parse_schedule("0:1", "ease in").easing == "ease in"
    for text, words in (("0: 1, 0%: 2", "must name each position once, but got 0 twice: remove"), ("0.5 1",
                                                                                                   "but got '0.5 1': write for"),
                        ("-1%: 1", "but got '-1%: 1'"), ("100.5%: 1", "positions from 0 to 1, or from 0% to 100%, but got"),
                        (": 1", "but got ': 1'")):
        with pytest.raises(InputError, match=f"strength_schedule .*{words}"):
            schedule.parse_schedule(text)
    with pytest.raises(InputError, match=r"easing must be one of linear, ease in, .*, hold, but got 'wobble': choose"):
        schedule.parse_schedule("", "wobble")
    with pytest.raises(InputError, match=r"^mine must be numbers with commas between them, one for each frame, but got 'x': write"):
        schedule.parse_values("x", "mine")
    plan = schedule.parse_schedule("0.2: 1, 0.6: 3, 0.8: 5", "ease in")
    assert [plan.at(at) for at in (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 1.0)] == pytest.approx([1, 1, 1.5, 3, 3.5, 5, 5])
    held = schedule.parse_schedule("0: 1, 0.5: 2", "hold")
    assert [held.at(at) for at in (0.49, 0.5)] == [1, 2]
    assert schedule.strengths(2.0, plan, (), 0.4, [0, 5]) == pytest.approx([3.0, 3.0])
