"""Nodes that give a head another light, or parts of another head."""
from __future__ import annotations

from comfy_api.v0_0_2 import io

from . import wires

CATEGORY = "CapHuman/head"


class RelightHead(io.ComfyNode):
    """New light on a head."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanRelightHead", display_name="CapHuman Relight Head", category=CATEGORY,
            description="Replaces the head's light by one soft distant light and ambient light.",
            search_aliases=["relight", "light head", "lighting", "spherical harmonics", "light direction",
                            "ic-light"],
            inputs=[
                wires.Head.Input("head", tooltip="The head to light; it is not changed itself."),
                io.Float.Input("azimuth", default=30.0, min=-180, max=180, step=1,
                               tooltip="Degrees; 0 from the viewer, 90 from the picture's right, -90 from its left."),
                io.Float.Input("elevation", default=25.0, min=-90, max=90, step=1, tooltip="Degrees; positive from above."),
                io.Float.Input("intensity", default=0.6, min=0, max=4, step=0.01,
                               tooltip="Strength of the distant light; 0.6 is soft daylight, 1.5 is hard."),
                io.Float.Input("ambient", default=0.7, min=0, max=4, step=0.01,
                               tooltip="Light from all around; with little of it shadows are deep."),
                io.Color.Input("colour", default="#ffffff", tooltip="Colour of the light, as #rrggbb."),
            ],
            outputs=[wires.Head.Output("head", display_name="head", tooltip="The relit head.")])

    @classmethod
    def execute(cls, head, azimuth, elevation, intensity, ambient, colour) -> io.NodeOutput:
        from ..caphuman_core.head.edit.relight import relight
        from ..caphuman_core.head.light import rgb01_of
        return io.NodeOutput(relight(head, azimuth, elevation, intensity, ambient, rgb01_of(colour)))


def _switch(name: str, tooltip: str) -> io.Boolean.Input:
    return io.Boolean.Input(name, default=True, tooltip=tooltip)


class TransferHead(io.ComfyNode):
    """Parts of one head on another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanTransferHead", display_name="CapHuman Transfer Head", category=CATEGORY,
            description="Takes position, pose, expression or lighting from the target head; who it is stays the source's.",
            search_aliases=["transfer pose", "reenact", "copy expression", "pose from photo", "drive head",
                            "expression transfer", "live portrait"],
            inputs=[
                wires.Head.Input("source", tooltip="The person: shape and skin always stay this head's."),
                wires.Head.Input("target", tooltip="The head the chosen parts are taken from."),
                _switch("position", "Take place and size in the picture, with the picture's frame."),
                _switch("pose", "Take the turn of the head, and the neck's share of it."),
                _switch("expression", "Take expression, jaw and gaze."),
                _switch("lighting", "Take the light."),
            ],
            outputs=[wires.Head.Output("head", display_name="head", tooltip="The source person with the chosen parts.")])

    @classmethod
    def execute(cls, source, target, position, pose, expression, lighting) -> io.NodeOutput:
        from ..caphuman_core.head.edit.transfer import transfer
        return io.NodeOutput(transfer(source, target, position, pose, expression, lighting))


NODES = [RelightHead, TransferHead]
