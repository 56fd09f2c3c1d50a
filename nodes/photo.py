"""The nodes a graph begins with: a photo or a video of the user's, or a sample that is there from the start."""
from __future__ import annotations

from comfy_api.v0_0_2 import InputImpl, io

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
                "image", options=host.choices("image"), default=host.sample_names()[0], upload=io.UploadType.image,
                image_folder=io.FolderType.input,
                tooltip="A picture of ComfyUI's input folder, or a sample. Drop a file on the node, paste one, or press the button "
                        "to bring a photo of your own.")],
            outputs=[io.Image.Output("image", display_name="image", tooltip="The photo, turned as the camera was held."),
                     io.Mask.Output("mask", display_name="mask", tooltip="Where the picture is transparent; empty for a photo.")])

    @classmethod
    def validate_inputs(cls, image) -> bool | str:
        try:
            host.chosen_path("image", image)
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, image) -> str:
        return host.stamp("image", image)

    @classmethod
    def execute(cls, image) -> io.NodeOutput:
        return io.NodeOutput(*host.read_photo(image))


class LoadVideo(io.ComfyNode):
    """A driving video from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadVideo", display_name="CapHuman Load Video", category="CapHuman/faces",
            description="Loads the video of somebody whose head moves. Until you choose one of your own it is a second of a "
                        "sample, so that the template runs as it opens.",
            search_aliases=["load video", "driving video", "upload video", "sample video"],
            inputs=[io.Combo.Input(
                "file", options=host.choices("video"), default=host.sample_names("video")[0], upload=io.UploadType.video,
                image_folder=io.FolderType.input,
                tooltip="A video of ComfyUI's input folder, or the sample. Drop a file on the node or press the button to bring "
                        "one of your own: one person in one shot, the face in view.")],
            outputs=[io.Video.Output("video", display_name="video", tooltip="The video, for CapHuman Heads from Video.")])

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        try:
            host.chosen_path("video", file)
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file) -> str:
        return host.stamp("video", file)

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        return io.NodeOutput(InputImpl.VideoFromFile(str(host.chosen_path("video", file))))


NODES: list[type] = [LoadPhoto, LoadVideo]
