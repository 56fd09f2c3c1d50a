"""Nodes that read, mix and compare identities."""
from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import comfy.model_management
import torch
from comfy_api.v0_0_2 import io, ui

from ..caphuman_core.check import fail
from ..caphuman_core.flow import CLIP_TOKENS, CLIP_WIDTH
from ..caphuman_core.identity.options import CLIP_VIEWS
from . import host, wires
from .faces import require_photos_of

if TYPE_CHECKING:
    from ..caphuman_core.identity.encode import Encoders, Views

CATEGORY = "CapHuman/identity"
SEVERAL = ("one identity each", "average")


@dataclass(frozen=True)
class IdentityEncoder:
    """FaceNet under the host's model management; travels on the IDENTITY_ENCODER wire."""

    patcher: Any                         # comfy.model_patcher.ModelPatcher of a FaceNet
    fingerprint: str

    def embed(self, crops: torch.Tensor) -> torch.Tensor:
        """[n, 3, 160, 160] -> [n, 512] of unit length, on the CPU."""
        device = host.load(self.patcher)
        return self.patcher.model(crops.to(device)).float().cpu()


class EncodeIdentity(io.ComfyNode):
    """Photos and faces -> who they are."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanEncodeIdentity", display_name="CapHuman Encode Identity", category=CATEGORY,
            description="Reads who a person is: FaceNet's vector of the face crop and CLIP's tokens of the photo. One identity per "
                        "face, photo by photo. The node shows what CLIP sees.",
            search_aliases=["identity", "face embedding", "facenet", "id embedding", "face id", "faceid",
                            "ip-adapter face", "likeness"],
            inputs=[
                io.Image.Input("image", tooltip="The photo or photos the faces were found in."),
                wires.Faces.Input("faces", tooltip="From CapHuman Detect Faces or CapHuman Select Face, of the same image."),
                wires.IdentityEncoder.Input("identity_encoder", tooltip="FaceNet, from CapHuman Load Identity Encoder."),
                io.ClipVision.Input("clip_vision", tooltip="CLIP ViT-L/14, from Load CLIP Vision; no other CLIP fits CapFace."),
                wires.FaceParser.Input("face_parser", optional=True,
                                       tooltip="Whitens everything but the face before CLIP looks, as CapFace was trained with. "
                                               "Without it CLIP sees the image as it comes."),
                io.Combo.Input("clip_view", options=list(CLIP_VIEWS), default=CLIP_VIEWS[0], optional=True,
                               tooltip="centre crop: the square middle of the photo, as in the released code. on the face: a "
                                       "square of twice the face's size around it, for small faces, groups, and faces far from "
                                       "the middle."),
                io.Combo.Input("several_faces", options=list(SEVERAL), default=SEVERAL[0], optional=True,
                               tooltip="one identity each: a batch, one per face. average: one identity of all of them, for "
                                       "several photos of one person."),
            ],
            outputs=[
                wires.Identity.Output("identity", display_name="identity",
                                      tooltip="For CapHuman Apply CapFace. Photos without a face keep an empty place."),
                io.Image.Output("crop", display_name="crop",
                                tooltip="The 160x160 face crops FaceNet sees; black for an empty place."),
            ])

    @classmethod
    def execute(cls, image, faces, identity_encoder, clip_vision, face_parser=None, clip_view=CLIP_VIEWS[0],
                several_faces=SEVERAL[0]) -> io.NodeOutput:
        from ..caphuman_core.identity.combine import average
        from ..caphuman_core.identity.encode import identify
        require_photos_of(faces, image)
        rows = sum(max(1, len(found)) for found in faces.per_image)
        identity, views = identify(host.rgb01(image).cpu().float(), faces, encoders(identity_encoder, clip_vision), clip_view,
                                   face_parser.whiten if face_parser else None, host.progress_callback(len(faces) + 2 * rows))
        if several_faces == SEVERAL[1]:
            identity = average(identity)
        return io.NodeOutput(identity, host.to_image(views.crops), ui=_shown(views))


def encoders(identity_encoder: IdentityEncoder, clip_vision: Any) -> Encoders:
    """Both networks under the host's model management; refuses every vision model but CLIP ViT-L/14."""
    from ..caphuman_core.identity.encode import Encoders
    require_clip_l(clip_vision)
    return Encoders(identity_encoder.embed, partial(clip_tokens, clip_vision), identity_encoder.fingerprint,
                    clip_fingerprint(clip_vision))


def clip_tokens(clip_vision: Any, pixels: torch.Tensor) -> torch.Tensor:
    """CLIP's pixel values [N, 3, 224, 224] -> [N, 257, 1024] last hidden state, class token first, float32 on the CPU."""
    comfy.model_management.load_models_gpu([clip_vision.patcher])
    return clip_vision.model(pixel_values=pixels.to(clip_vision.load_device), intermediate_output=-2)[0].float().cpu()


def require_clip_l(clip_vision: Any) -> None:
    """Refuse every vision model but CLIP ViT-L/14 at 224 pixels."""
    table = clip_vision.model.state_dict().get("vision_model.embeddings.position_embedding.weight")
    shape = None if table is None else tuple(table.shape)
    if shape != (CLIP_TOKENS, CLIP_WIDTH):
        fail("clip_vision", f"must be CLIP ViT-L/14 with {CLIP_TOKENS} tokens of {CLIP_WIDTH} numbers",
             "a vision model without CLIP's tokens" if shape is None else f"one with {shape[0]} tokens of {shape[1]} numbers",
             "load CLIP-ViT-L-14 (openai/clip-vit-large-patch14) in Load CLIP Vision")


_fingerprints: WeakKeyDictionary[Any, str] = WeakKeyDictionary()       # by tower: asking it again would fetch weights from the card


def clip_fingerprint(clip_vision: Any) -> str:
    """Identity of a tower by a few of its weights; the same for a file in half or full precision only if those agree."""
    from ..caphuman_core.files.weights import fingerprint
    if clip_vision.model not in _fingerprints:
        keys = ("class_embedding", "position_embedding.weight")
        state = clip_vision.model.state_dict()
        _fingerprints[clip_vision.model] = fingerprint({key: state[f"vision_model.embeddings.{key}"].float() for key in keys})
    return _fingerprints[clip_vision.model]


def _shown(views: Views) -> dict[str, Any]:
    """The node's own picture: what CLIP sees."""
    pictures = ui.ImageSaveHelper.save_images(views.clip.movedim(1, -1), filename_prefix="caphuman_clip_view",
                                              folder_type=io.FolderType.temp, cls=None, compress_level=1)
    return {"images": pictures, "animated": (False,)}


class CombineIdentities(io.ComfyNode):
    """Two identities -> one in between."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanCombineIdentities", display_name="CapHuman Combine Identities", category=CATEGORY,
            description="Mixes two identities: two photos of one person for a steadier likeness, or two people.",
            search_aliases=["mix faces", "blend identity", "merge faces", "average face"],
            inputs=[
                wires.Identity.Input("identity_a", tooltip="One identity, or a batch."),
                wires.Identity.Input("identity_b", tooltip="One identity, or as many as identity_a."),
                io.Float.Input("weight", default=0.5, min=0.0, max=1.0, step=0.01,
                               tooltip="Share of identity_b: 0 is all identity_a, 1 is all identity_b. Where one has no face, the "
                                       "other is taken whole."),
            ],
            outputs=[wires.Identity.Output("identity", display_name="identity", tooltip="The mixed identity.")])

    @classmethod
    def execute(cls, identity_a, identity_b, weight) -> io.NodeOutput:
        from ..caphuman_core.identity.combine import combine
        return io.NodeOutput(combine(identity_a, identity_b, weight))


class CompareIdentity(io.ComfyNode):
    """How alike two identities are."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanCompareIdentity", display_name="CapHuman Compare Identity", category=CATEGORY,
            description="Says how alike two identities are, and what the number means.",
            search_aliases=["face similarity", "same person", "face distance", "cosine"],
            inputs=[
                wires.Identity.Input("identity_a", tooltip="An identity; a batch is averaged."),
                wires.Identity.Input("identity_b", tooltip="Another, made with the same models."),
            ],
            outputs=[
                io.Float.Output("similarity", display_name="similarity",
                                tooltip="Cosine of the FaceNet vectors, -1 to 1: above 0.6 the same person, below 0.4 two people."),
                io.String.Output("report", display_name="report",
                                 tooltip="The number in a sentence; ArcFace's too when both have it."),
            ])

    @classmethod
    def execute(cls, identity_a, identity_b) -> io.NodeOutput:
        from ..caphuman_core.identity.compare import compare
        return io.NodeOutput(*compare(identity_a, identity_b))


NODES: list[type] = [EncodeIdentity, CombineIdentities, CompareIdentity]
