"""Windows of frames, AnimateDiff-Evolved's and the host's: every frame keeps its own hint, identity and strength."""
from __future__ import annotations

from dataclasses import replace

import pytest
import stand_ins
import torch
from narrow_world import apply, hint, identity, near, noise, sample, text

from tools.stand_ins import narrow_nets as nets

FRAMES = 8
WINDOWS = {"static": [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]], "looped": [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 0, 1]],
           "strided": [[0, 2, 4, 6], [1, 3, 5, 7], [4, 5, 6, 7]], "batched": [[0, 1, 2, 3], [4, 5, 6, 7]],
           "single frames": [[frame] for frame in range(8)]}


def people(call, world, **options):
    """Eight frames, each with a head, an identity and a strength of its own; one has no face."""
    posed = hint(world, FRAMES)
    shown = replace(posed, present=torch.arange(FRAMES) != 5)
    loud = "1, 0.5, 0.8, 0.3, 1, 0.9, 0.7, 0.4"
    return apply(call, world, who=identity(world, FRAMES), posed=shown, frame_strengths=loud, **options)


@pytest.fixture
def frames_alone(call, world):
    """The oracle: all frames in one call, without windows. The networks know no motion, so windows may change nothing."""
    return sample(world, people(call, world), size=(FRAMES, 4, 8, 8), steps=2)


@pytest.mark.parametrize("tell_options", [True, pytest.param(False, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("windows", WINDOWS)
def test_every_frame_keeps_its_own(call, world, frames_alone, windows, tell_options):
    base = stand_ins.animatediff(world.base, WINDOWS[windows], tell_options)
    near(sample(world, people(call, world), size=(FRAMES, 4, 8, 8), steps=2, base=base), frames_alone)


def test_frames_are_told_during_a_run_and_forgotten_after_it(call, world, monkeypatch):
    seen = []
    inner = world.control.CapFaceControl.get_control

    def watched(self, *arguments):
        seen.append((self.sub_idxs, self.full_latent_length, self.context_length))
        return inner(self, *arguments)
    monkeypatch.setattr(world.control.CapFaceControl, "get_control", watched)
    pair = people(call, world)
    control = pair[0][0][1]["control"]
    assert control.sub_idxs is None
    sample(world, pair, size=(FRAMES, 4, 8, 8), steps=1, base=stand_ins.animatediff(world.base, WINDOWS["looped"]))
    assert [told for told, *_ in seen] == WINDOWS["looped"]
    assert {counts for _, *counts in map(tuple, seen) for counts in [tuple(counts)]} == {(FRAMES, 4)}
    assert control.sub_idxs is None


def test_a_run_without_windows_after_an_interrupted_one(call, world, frames_alone):
    """The host calls no cleanup after an interrupt: the frames of the last window must not stay."""
    pair = people(call, world)
    pair[0][0][1]["control"].sub_idxs = [4, 5, 6, 7, 0, 1, 2, 3]
    near(sample(world, pair, size=(FRAMES, 4, 8, 8), steps=2), frames_alone)


@pytest.mark.parametrize("order", ["before", "after"])
def test_with_another_controlnet_in_the_chain(call, world, part, order):
    plain = nets.controlnet(part("caphuman_core.capface.spec"))
    hints = noise(FRAMES, 3, 64, 64, seed=8).sigmoid()

    def chained():
        other = stand_ins.WindowedControlNet.of(plain, hints)
        if order == "after":
            pair = people(call, world)
            other.set_previous_controlnet(pair[0][0][1]["control"])
            return tuple([[c[0], {**c[1], "control": other}] for c in side] for side in pair)
        words = [[[text(seed)[0][0], {"control": other}]] for seed in (1, 2)]
        return people(call, world, positive=words[0], negative=words[1])
    want = sample(world, chained(), size=(FRAMES, 4, 8, 8), steps=2)
    base = stand_ins.animatediff(world.base, WINDOWS["looped"])
    near(sample(world, chained(), size=(FRAMES, 4, 8, 8), steps=2, base=base), want)


def test_a_control_without_the_attribute_is_refused(world):
    """What the stand-in must do to be one: an object that does not know windows ends in the pack's error."""
    import comfy.controlnet
    with pytest.raises(ValueError, match="may not support required features"):
        stand_ins.hand_out_frames(comfy.controlnet.ControlBase(), [0, 1], 4, 2)


def test_the_hosts_own_windows(call, world, frames_alone):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode
    windowed = ContextWindowsManualNode.execute(world.base, 4, 2, "standard_static", 1, False, "pyramid", 0, False)
    near(sample(world, people(call, world), size=(FRAMES, 4, 8, 8), steps=2, base=windowed.result[0]), frames_alone)


@pytest.mark.parametrize(("schedule", "options"), [
    ("StandardStatic", {}), ("StandardUniform", {"context_stride": 1}), ("BatchedSimple", {}),
    ("LoopedUniform", {"context_stride": 1, "closed_loop": True})])
def test_real_animatediff_evolved(host, call, world, real, frames_alone, schedule, options):
    real("ComfyUI-AnimateDiff-Evolved", "comfyui-animatediff-evolved")

    def node(name, **inputs):
        kind = host.NODE_CLASS_MAPPINGS[name]
        out = getattr(kind(), kind.FUNCTION)(**inputs)
        return out.result[0] if hasattr(out, "result") else out[0]
    overlap = {} if schedule == "BatchedSimple" else {"context_overlap": 2}
    context = node(f"ADE_{schedule}ContextOptions", context_length=4, **overlap, **options)
    base = node("ADE_UseEvolvedSampling", model=world.base, beta_schedule="use existing", context_options=context)
    near(sample(world, people(call, world), size=(FRAMES, 4, 8, 8), steps=2, base=base), frames_alone)
