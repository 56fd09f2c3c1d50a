"""Nodes that save heads and identities to files, and load them again."""
from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..caphuman_core.head.options import HEAD_SUFFIX
from ..caphuman_core.identity.options import IDENTITY_SUFFIX
from . import host, wires
from .from_file import FromSavedFile


class SaveIdentity(io.ComfyNode):
    """An identity to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanSaveIdentity", display_name="CapHuman Save Identity", category="CapHuman/identity",
            description="Saves an identity in the output folder: about 1 MB of numbers per face, no photo inside.",
            search_aliases=["save face", "export identity", "save embedding"], is_output_node=True,
            inputs=[
                wires.Identity.Input("identity", tooltip="The identity or batch of identities to save."),
                io.String.Input("filename_prefix", default="caphuman/identity",
                                tooltip="Name in the output folder; a number is added."),
            ],
            outputs=[])

    @classmethod
    def execute(cls, identity, filename_prefix) -> io.NodeOutput:
        from ..caphuman_core.identity.storage import save_identity
        with host.new_output_file(filename_prefix, IDENTITY_SUFFIX) as path:
            save_identity(identity, path)
        return io.NodeOutput()


class LoadIdentity(FromSavedFile):
    """An identity from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadIdentity", display_name="CapHuman Load Identity", category="CapHuman/identity",
            description="Loads an identity saved by CapHuman Save Identity; no photo and no identity models are needed.",
            search_aliases=["load face", "import identity", "load embedding"],
            inputs=[io.Combo.Input("name", options=host.saved_files(IDENTITY_SUFFIX),
                                   tooltip="An .identity.safetensors file in the input or output folder.")],
            outputs=[wires.Identity.Output("identity", display_name="identity", tooltip="The saved identity or batch.")])

    @classmethod
    def execute(cls, name) -> io.NodeOutput:
        from ..caphuman_core.identity.storage import load_identity
        return io.NodeOutput(load_identity(host.saved_path(name, IDENTITY_SUFFIX, "identity", "CapHuman Save Identity")))


class SaveHead(io.ComfyNode):
    """A head to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanSaveHead", display_name="CapHuman Save Head", category="CapHuman/head",
            description="Saves the head's codes in the output folder: a small file without any picture in it, but for the skin of "
                        "a photo where the head wears one.",
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
            node_id="CapHumanLoadHead", display_name="CapHuman Load Head", category="CapHuman/head",
            description="Loads a head saved by CapHuman Save Head. It needs the head model it was made with.",
            search_aliases=["load head", "import head"],
            inputs=[io.Combo.Input("name", options=host.saved_files(HEAD_SUFFIX),
                                   tooltip="A .head.safetensors file in the input or output folder.")],
            outputs=[wires.Head.Output("head", display_name="head", tooltip="The saved head or batch of heads.")])

    @classmethod
    def execute(cls, name) -> io.NodeOutput:
        from ..caphuman_core.head.storage import load_head
        return io.NodeOutput(load_head(host.saved_path(name, HEAD_SUFFIX, "head", "CapHuman Save Head")))


NODES = [SaveIdentity, LoadIdentity, SaveHead, LoadHead]
