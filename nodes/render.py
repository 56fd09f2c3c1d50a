"""Rendering nodes."""
from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Any

from comfy_api.v0_0_2 import Types, io

from ..caphuman_core.head.options import FRAMINGS, HAIR_STYLES
from ..caphuman_core.render.options import MAX_SIDE
from . import host, wires

if TYPE_CHECKING:
    from ..caphuman_core.head.camera import Framing

log = logging.getLogger(__name__)
RASTERIZERS = ("auto", "torch", "pytorch3d")


class RenderHead(io.ComfyNode):
    """Head -> the nine hint channels, their pictures, a mask, landmark dots and a mesh."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanRenderHead", display_name="CapHuman Render Head", category="CapHuman/render",
            description="Draws the head as normal, albedo and shaded maps: the hint that steers CapFace.",
            search_aliases=["render head", "normal map", "albedo", "hint", "flame render", "face landmarks", "head mesh",
                            "depth map", "openpose face", "control image"],
            inputs=[
                wires.Head.Input("head", tooltip="The head to draw; a batch gives a batch of pictures."),
                wires.HeadModel.Input("head_model", tooltip="The head model the head was made with."),
                io.Int.Input("width", default=512, min=16, max=MAX_SIDE, step=8,
                             tooltip="Picture width in pixels. Use the width of the picture you sample."),
                io.Int.Input("height", default=512, min=16, max=MAX_SIDE, step=8,
                             tooltip="Picture height in pixels. Use the height of the picture you sample."),
                io.Combo.Input("rasterizer", options=list(RASTERIZERS), default="auto",
                               tooltip="auto and torch: built in. pytorch3d: the package the released code uses, when it is "
                                       "installed; the picture is the same."),
                io.Combo.Input("framing", options=list(FRAMINGS), default="contain", optional=True,
                               tooltip="When the photo has another shape than the picture. contain: all of the photo's frame "
                                       "fits inside, never squashed. cover: it fills the picture. stretch: squashed to the "
                                       "picture's shape, as the released code does."),
                io.Combo.Input("hair", options=list(HAIR_STYLES), default=HAIR_STYLES[0], optional=True,
                               tooltip="Hair of the mesh, on the built-in head. Hint and maps stay bald, as CapFace was trained."),
            ],
            outputs=[
                wires.Hint.Output("hint", display_name="hint", tooltip="Nine channels for CapHuman Apply CapFace."),
                io.Image.Output("normal", display_name="normal",
                                tooltip="World-space normals; red: to the picture's right, green: up, blue: to the viewer."),
                io.Image.Output("albedo", display_name="albedo", tooltip="Skin colour without light."),
                io.Image.Output("shaded", display_name="shaded", tooltip="Skin colour under the head's light."),
                io.Mask.Output("mask", display_name="mask", tooltip="1 where the head is."),
                io.Image.Output("landmarks", display_name="landmarks",
                                tooltip="68 white dots on black, for an openpose face ControlNet."),
                io.Mesh.Output("mesh", display_name="mesh",
                               tooltip="The posed head with its texture, metres, for nodes that change meshes. To look at it or to "
                                       "save it take the 3D file."),
                io.Image.Output("depth", display_name="depth", tooltip="Depth of the head, white near, black far and outside."),
                io.File3DGLB.Output("model_3d", display_name="3D file",
                                    tooltip="The first head of the batch as a .glb file with smooth shading and texture: look at "
                                            "it in Preview 3D, keep it with Save 3D Model."),
            ])

    @classmethod
    def execute(cls, head, head_model, width, height, rasterizer, framing: Framing = "contain",
                hair: str = HAIR_STYLES[0]) -> io.NodeOutput:
        from ..caphuman_core.head.face_size import small_face_note
        from ..caphuman_core.render.dots import draw_dots
        from ..caphuman_core.render.glb import to_glb
        from ..caphuman_core.render.maps import render
        from ..caphuman_core.render.mesh import textured_mesh
        from ..caphuman_core.render.pytorch3d_raster import pick
        drawn = render(head, head_model, width, height, framing, pick(rasterizer), host.progress_callback(len(head)),
                       host.raster_device())
        cover = drawn.mask[:, None]
        mesh = textured_mesh(head, head_model, hair)
        count = len(head)
        host_mesh = Types.MESH(vertices=mesh.verts, faces=mesh.faces.expand(count, -1, -1).contiguous(),
                               uvs=mesh.uvs.expand(count, -1, -1).contiguous(), texture=mesh.texture)
        dots = draw_dots(drawn.landmarks, width, height, drawn.present)[:, None].expand(-1, 3, -1, -1)
        mask = drawn.mask.to(host.intermediate_device())
        normal = host.to_image((drawn.normal * 0.5 + 0.5) * cover)
        told = _told(small_face_note(head, width, height, framing))
        return io.NodeOutput(host.at_rest(drawn.hint()), normal, host.to_image(drawn.albedo),
                             host.to_image(drawn.shaded), mask, host.to_image(dots), host_mesh,
                             host.to_image(drawn.depth_picture()), Types.File3D(BytesIO(to_glb(mesh)), "glb"), **told)


def _told(note: str | None) -> dict[str, Any]:
    """What tells a note in the log and, by web/notes.js, on the page: nothing of it where there is none."""
    if note is None:
        return {}
    log.warning("CapHuman Render Head: %s", note)
    return {"ui": {"caphuman_note": [note]}}


NODES = [RenderHead]
