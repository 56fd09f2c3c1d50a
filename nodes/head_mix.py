"""Nodes that relight, mix, save and load heads."""
from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..caphuman_core.check import fail
from ..caphuman_core.choices import HEAD_SUFFIX
from . import host, wires
from .from_file import FromSavedFile

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
        from ..caphuman_core.head.relight import relight
        return io.NodeOutput(relight(head, azimuth, elevation, intensity, ambient, rgb01_of(colour)))


def rgb01_of(colour: str) -> tuple[float, float, float]:
    """#rrggbb as red, green, blue of 0..1."""
    text = colour.strip().removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        fail("colour", "must be #rrggbb", repr(colour), "type six hexadecimal digits, like #ffd8b0")
    return red / 255, green / 255, blue / 255


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
                _switch("pose", "Take the turn of the head."),
                _switch("expression", "Take expression and jaw."),
                _switch("lighting", "Take the light."),
            ],
            outputs=[wires.Head.Output("head", display_name="head", tooltip="The source person with the chosen parts.")])

    @classmethod
    def execute(cls, source, target, position, pose, expression, lighting) -> io.NodeOutput:
        from ..caphuman_core.head.transfer import transfer
        return io.NodeOutput(transfer(source, target, position, pose, expression, lighting))


class SaveHead(io.ComfyNode):
    """A head to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanSaveHead", display_name="CapHuman Save Head", category=CATEGORY,
            description="Saves the head's codes in the output folder: a small file without any picture in it.",
            search_aliases=["save head", "export head"], is_output_node=True,
            inputs=[
                wires.Head.Input("head", tooltip="The head or batch of heads to save."),
                io.String.Input("filename_prefix", default="caphuman/head",
                                tooltip="Name in the output folder; a number is added."),
            ],
            outputs=[])

    @classmethod
    def execute(cls, head, filename_prefix) -> io.NodeOutput:
        from ..caphuman_core.head.storage import save_head
        with host.new_output_file(filename_prefix, HEAD_SUFFIX) as path:
            save_head(head, path)
        return io.NodeOutput()


class LoadHead(FromSavedFile):
    """A head from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadHead", display_name="CapHuman Load Head", category=CATEGORY,
            description="Loads a head saved by CapHuman Save Head. It needs the head model it was made with.",
            search_aliases=["load head", "import head"],
            inputs=[io.Combo.Input("name", options=host.saved_files(HEAD_SUFFIX),
                                   tooltip="A .head.safetensors file in the input or output folder.")],
            outputs=[wires.Head.Output("head", display_name="head", tooltip="The saved head or batch of heads.")])

    @classmethod
    def execute(cls, name) -> io.NodeOutput:
        from ..caphuman_core.head.storage import load_head
        return io.NodeOutput(load_head(host.saved_path(name, HEAD_SUFFIX, "head", "CapHuman Save Head")))


NODES = [RelightHead, TransferHead, SaveHead, LoadHead]
