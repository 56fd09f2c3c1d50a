"""Nodes that find and choose faces."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comfy_api.v0_0_2 import io

from ..caphuman_core.check import require, require_image
from ..caphuman_core.face.options import FACE_ORDERS, IF_NO_FACE
from . import host, wires

if TYPE_CHECKING:
    from ..caphuman_core.face.detection import Detector

CATEGORY = "CapHuman/faces"


@dataclass(frozen=True)
class FaceDetector:
    """A detector back end; travels on the FACE_DETECTOR wire."""

    detector: Detector
    patcher: Any                         # comfy.model_patcher.ModelPatcher, or None for back ends outside torch

    def ready(self) -> Detector:
        """The detector, with its weights where the host wants them."""
        if self.patcher is not None:
            host.load(self.patcher)
        return self.detector


def require_photos_of(faces, image) -> None:
    """Refuse faces that were found in other photos: points are pixels of one picture size."""
    require_image("image", image)
    require((len(faces), faces.height, faces.width) == tuple(image.shape[:3]), "image",
            f"must be the {len(faces)} photo(s) of {faces.width} x {faces.height} that the faces were found in",
            f"{image.shape[0]} of {image.shape[2]} x {image.shape[1]}", "connect the same image to both nodes")


class DetectFaces(io.ComfyNode):
    """Photos -> faces."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanDetectFaces", display_name="CapHuman Detect Faces", category=CATEGORY,
            description="Finds the faces in photos. Faces that fill the frame or are turned by 90 or 180 degrees are found too.",
            search_aliases=["face detection", "find face", "mtcnn", "mediapipe", "insightface", "landmarks", "face bounding box"],
            inputs=[
                io.Image.Input("image", tooltip="One photo, or a batch; grey and transparent pictures are fine."),
                wires.FaceDetector.Input("detector", tooltip="From CapHuman Load Face Detector."),
                io.Float.Input("min_confidence", default=0.5, min=0.0, max=1.0, step=0.01,
                               tooltip="Ignore faces the detector is less sure of, 0 to 1. mtcnn itself drops those below 0.7."),
                io.Int.Input("max_faces", default=0, min=0, max=100,
                             tooltip="Keep the first so many faces of each photo, in the chosen order; 0 keeps all."),
                io.Combo.Input("order", options=list(FACE_ORDERS), default=FACE_ORDERS[0],
                               tooltip="How the faces of a photo are numbered, first to last."),
                io.Combo.Input("if_none", options=list(IF_NO_FACE), default=IF_NO_FACE[0],
                               tooltip="A photo without a face: stop with an error, keep its place empty (skip), or use the whole "
                                       "image as the face, as the released code does."),
                io.Float.Input("smallest_face", default=0.0, min=0.0, max=1.0, step=0.005, optional=True, advanced=True,
                               tooltip="Smallest face that mtcnn looks for, as a share of the photo's shorter side; it never looks "
                                       "below 20 pixels. 0 chooses by the photo's size: 20 pixels up to 2 megapixels, 60 at most "
                                       "above. Less finds more and takes longer."),
            ],
            outputs=[
                wires.Faces.Output("faces", display_name="faces", tooltip="The faces of each photo, in order."),
                io.Image.Output("preview", display_name="preview",
                                tooltip="The photos with boxes, landmarks and the numbers that CapHuman Select Face takes; faces "
                                        "beyond max_faces are faint, and a line says which are taken."),
                io.BoundingBox.Output("bboxes", display_name="bboxes",
                                      tooltip="The boxes for other nodes: per photo a list of x, y, width, height in pixels."),
                io.Int.Output("count", display_name="count", tooltip="How many faces there are in all photos together."),
            ])

    @classmethod
    def execute(cls, image, detector, min_confidence, max_faces, order, if_none, smallest_face=0.0) -> io.NodeOutput:
        from ..caphuman_core.face.detection import detect, first
        from ..caphuman_core.face.preview import draw_faces
        from ..caphuman_core.face.search import Search
        require_image("image", image)
        photos = host.rgb01(image)
        found = detect(detector.ready(), photos, min_confidence, 0, order, if_none, host.progress_callback(len(photos)),
                       Search(smallest_face, host.stop_if_interrupted))
        faces = first(found, max_faces)
        return io.NodeOutput(faces, host.to_image(draw_faces(photos, faces, found, order)), bounding_boxes(faces), faces.count)


def bounding_boxes(faces) -> list[list[dict[str, Any]]]:
    """The host's BOUNDING_BOX batch: per photo a list of boxes in pixels, as its MediaPipe node makes it."""
    batch = []
    for found in faces.per_image:
        corners = [(face, face.box_xyxy.tolist()) for face in found]
        batch.append([{"x": left, "y": top, "width": right - left, "height": bottom - top, "label": "face",
                       "score": face.confidence} for face, (left, top, right, bottom) in corners])
    return batch


class SelectFace(io.ComfyNode):
    """Faces -> one face per photo."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanSelectFace", display_name="CapHuman Select Face", category=CATEGORY,
            description="Keeps one face of each photo, by its number in the preview of CapHuman Detect Faces.",
            search_aliases=["choose face", "pick face", "face index"],
            inputs=[
                wires.Faces.Input("faces", tooltip="From CapHuman Detect Faces."),
                io.Int.Input("index", default=0, min=0, max=999,
                             tooltip="The number written at the face in the preview; 0 is the first."),
            ],
            outputs=[wires.Faces.Output("faces", display_name="faces",
                                        tooltip="One face per photo; photos without a face stay empty.")])

    @classmethod
    def execute(cls, faces, index) -> io.NodeOutput:
        from ..caphuman_core.face.detection import select
        return io.NodeOutput(select(faces, index))


class FacesFromLandmarks(io.ComfyNode):
    """The host's MediaPipe landmarks -> faces."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanFacesFromLandmarks", display_name="CapHuman Faces from Landmarks", category=CATEGORY,
            description="Takes faces from ComfyUI's own MediaPipe node, expression scores and head pose included.",
            search_aliases=["mediapipe", "face landmarks", "blendshapes"],
            inputs=[wires.FaceLandmarks.Input(
                "face_landmarks", tooltip="From Detect Face Landmarks (MediaPipe); frames without a face keep their place. "
                                          "Faces are ordered by size.")],
            outputs=[wires.Faces.Output("faces", display_name="faces", tooltip="The faces of each frame, largest first.")])

    @classmethod
    def execute(cls, face_landmarks) -> io.NodeOutput:
        from ..caphuman_core.face.landmarks import faces_from_frames
        return io.NodeOutput(faces_from_frames(face_landmarks))


NODES: list[type] = [DetectFaces, SelectFace, FacesFromLandmarks]
