"""The node a graph begins with: a photo of the user's, or a sample that is there from the start."""
from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..caphuman_core.check import InputError
from . import host


class LoadPhoto(io.ComfyNode):
    """A photo from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadPhoto", display_name="CapHuman Load Photo", category="CapHuman/faces",
            description="Loads the photo of a person. Until you choose one of your own it is a sample portrait, so that every "
                        "template runs as it opens.",
            search_aliases=["load image", "portrait", "upload photo", "reference photo", "sample photo"],
            inputs=[io.Combo.Input(
                "image", options=host.photo_choices(), default=host.sample_names()[0], upload=io.UploadType.image,
                image_folder=io.FolderType.input,
                tooltip="A picture of ComfyUI's input folder, or a sample. Drop a file on the node, paste one, or press the button "
                        "to bring a photo of your own.")],
            outputs=[io.Image.Output("image", display_name="image", tooltip="The photo, turned as the camera was held."),
                     io.Mask.Output("mask", display_name="mask", tooltip="Where the picture is transparent; empty for a photo.")])

    @classmethod
    def validate_inputs(cls, image) -> bool | str:
        try:
            host.photo_path(image)
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, image) -> str:
        path = host.photo_path(image)
        return f"{path}:{path.stat().st_mtime_ns}:{path.stat().st_size}"

    @classmethod
    def execute(cls, image) -> io.NodeOutput:
        return io.NodeOutput(*host.read_photo(image))


NODES: list[type] = [LoadPhoto]
