"""Nodes that make batches of heads over time."""
from __future__ import annotations

from collections.abc import Sequence

from comfy_api.v0_0_2 import io

from ..caphuman_core.easings import EASINGS
from . import host, wires

CATEGORY = "CapHuman/sequence"


class HeadKeyframe(io.ComfyNode):
    """A head at a frame of the timeline."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanHeadKeyframe", display_name="CapHuman Head Keyframe", category=CATEGORY,
            description="Places a head at a frame of the timeline; several in a row make a sequence for CapHuman Blend Heads.",
            search_aliases=["keyframe", "timeline", "animate head", "head animation"],
            inputs=[
                wires.Head.Input("head", tooltip="A single head; all keyframes need the same head model and picture size."),
                io.Int.Input("frame", default=0, min=0, max=4095, tooltip="Where it stands; 0 is the first frame."),
                io.Combo.Input("easing", options=list(EASINGS), default="linear",
                               tooltip="How the way to the next keyframe is spaced."),
                wires.Keyframes.Input("keyframes", optional=True,
                                      tooltip="The keyframes so far, in any order; none starts a timeline."),
            ],
            outputs=[wires.Keyframes.Output("keyframes", display_name="keyframes",
                                            tooltip="For CapHuman Blend Heads, or the next keyframe.")])

    @classmethod
    def execute(cls, head, frame, easing, keyframes=None) -> io.NodeOutput:
        from ..caphuman_core.head.edit.sequence import Keyframe, Keyframes
        return io.NodeOutput((keyframes or Keyframes()).with_key(Keyframe(head, frame, easing)))


class BlendHeads(io.ComfyNode):
    """In-between heads."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanBlendHeads", display_name="CapHuman Blend Heads", category=CATEGORY,
            description="A batch of heads from one to the other, or through keyframes; turns take the shortest way.",
            search_aliases=["interpolate heads", "turntable", "morph head", "head animation", "keyframes"],
            inputs=[
                wires.Head.Input("head_a", optional=True, tooltip="The first head, at frame 0."),
                wires.Head.Input("head_b", optional=True,
                                 tooltip="The last head, at the last frame; same head model and picture size."),
                io.Int.Input("frames", default=8, min=1, max=4096, optional=True, tooltip="Number of heads, both ends included."),
                io.Combo.Input("easing", options=list(EASINGS), default="linear", optional=True,
                               tooltip="How the steps from head_a are spaced; each keyframe has its own."),
                wires.Keyframes.Input("keyframes", optional=True,
                                      tooltip="From CapHuman Head Keyframe: heads between head_a and head_b, or without them."),
                wires.HeadModel.Input("head_model", optional=True, tooltip="Connect it to see the heads in the strip."),
            ],
            outputs=[
                wires.Head.Output("head", display_name="head", tooltip="A batch of heads."),
                io.Image.Output("strip", display_name="strip", tooltip="Up to 12 of the heads in a row, with their frame numbers."),
            ])

    @classmethod
    def execute(cls, head_a=None, head_b=None, frames=8, easing="linear", keyframes=None, head_model=None) -> io.NodeOutput:
        from ..caphuman_core.head.edit.sequence import Keyframe, Keyframes, blend_keyframes
        from ..caphuman_core.head.edit.transfer import blend
        if keyframes is None and head_a is not None and head_b is not None:
            heads = blend(head_a, head_b, frames, easing)
        else:
            timeline = keyframes or Keyframes()
            if head_a is not None:
                timeline = timeline.with_key(Keyframe(head_a, 0, easing))
            if head_b is not None:
                timeline = timeline.with_key(Keyframe(head_b, frames - 1))
            heads = blend_keyframes(timeline, frames)
        return io.NodeOutput(heads, strip_of(heads, head_model))


def strip_of(heads, head_model, filled: Sequence[bool] = ()):
    """The host IMAGE of a strip of heads; without a head model a word about what is missing."""
    from ..caphuman_core.render.strip import strip_frames, strip_of_heads, told
    if head_model is None:
        return host.to_image(told("connect head_model to see the heads here"))
    done = host.progress_callback(len(strip_frames(len(heads))))
    return host.to_image(strip_of_heads(heads, head_model, filled, done))


NODES = [HeadKeyframe, BlendHeads]
