"""Normal, albedo and shaded maps of a Head, its mask, depth and landmarks (FACE.md: normals to hint)."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..check import fail, require
from ..flow import Head, HeadHint
from ..head import camera, light
from ..head.model import texture
from ..head.model.head_model import HeadModel
from ..head.model.posing import PosedHead, pose_head
from .options import MAX_SIDE
from .raster import Fragments, rasterize

PIXELS_AT_ONCE_ON_GPU = 1 << 22          # of the pictures of heads that are drawn together
DEPTH_SHIFT = 10.0           # added to z before rasterizing, as the released renderer does
Rasterizer = Callable[[Tensor, Tensor, int, int], Fragments]


@dataclass(frozen=True)
class Render:
    """Pictures of a batch of heads, channels first, background 0."""

    normal: Tensor           # [B, 3, H, W] world space, -1..1, interpolated vertex normals, not renormalised
    albedo: Tensor           # [B, 3, H, W] RGB, about 0..1, unclamped
    shaded: Tensor           # [B, 3, H, W] albedo x shading, unclamped
    mask: Tensor             # [B, H, W] 1 where a face covers the pixel centre
    depth: Tensor            # [B, H, W] raster depth, smaller is nearer; 0 where nothing is
    landmarks: Tensor        # [B, 68, 2] pixels x, y
    present: Tensor          # [B] bool
    model_fingerprint: str = ""             # of the head model that was drawn; "" when unknown

    def hint(self) -> HeadHint:
        """The 9 channels CapFace was trained with: normal, albedo, shaded."""
        return HeadHint(torch.cat([self.normal, self.albedo, self.shaded], 1), self.mask, self.present, self.model_fingerprint)

    def depth_picture(self) -> Tensor:
        """Depth to look at, [B, 3, H, W]: 1 (nearest) to 0.1 (farthest) within each picture, 0 outside."""
        inside = self.mask > 0
        near = self.depth.masked_fill(~inside, float("inf")).amin((1, 2), keepdim=True)
        far = self.depth.masked_fill(~inside, float("-inf")).amax((1, 2), keepdim=True)
        shade = 1 - 0.9 * (self.depth - near) / (far - near).clamp(min=1e-6)
        return shade.where(inside, 0.0)[:, None].expand(-1, 3, -1, -1)


def pose(head: Head, model: HeadModel) -> PosedHead:
    """The posed geometry of a head; refuses a head whose codes belong to another model."""
    require_same_model(head, model)
    return pose_head(model, head.identity, head.expression, head.rotation_radians, head.jaw_radians, head.gaze_radians,
                     head.neck_share)


def require_same_model(head: Head, model: HeadModel) -> None:
    """Codes mean nothing on another model: refuse the mix instead of drawing a wrong head."""
    if head.model_fingerprint != model.fingerprint:
        fail("head", f"must be drawn with the head model it was made with ({head.model_fingerprint})",
             f"'{model.name}' ({model.fingerprint})", "connect one head model to all nodes that handle this head")


def render(
    head: Head,
    model: HeadModel,
    width: int,
    height: int,
    framing: camera.Framing = "contain",
    rasterizer: Rasterizer = rasterize,
    step: Callable[[int], object] | None = None,
    device: torch.device | None = None,
) -> Render:
    """Draw each head of the batch at width x height pixels, any aspect ratio.

    device: where to draw and where the pictures are left; None: where the head is.
    step(i) is called after i pictures, for progress. Heads that are not present leave their picture empty.
    Raises InputError for sizes outside 1..8192, codes of another model or numbers that are not finite.
    """
    for name, size in (("width", width), ("height", height)):
        require(1 <= size <= MAX_SIDE, name, f"must be from 1 to {MAX_SIDE} pixels", size, "choose a size in that range")
    require(len(head) > 0, "head", "must hold at least one head", "an empty batch", "connect a head")
    _require_finite(head)
    posed = pose(head, model)
    placed = camera.reframe(head, width, height, framing)
    raster_verts = raster_vertices(placed, posed.verts).to(device)
    looks = _looks(head, model, vertex_normals(posed.verts, model.faces), raster_verts.device)
    flat = raster_verts.new_zeros(len(head), 11, height * width)
    for part in _parts(head.present, height * width, flat.device):
        seen = rasterizer(raster_verts[part.start:part.stop], looks.faces, height, width)
        _put(flat, part, seen, _surface(seen, looks, part))
        if step is not None:
            step(part.stop)
    maps = flat.unflatten(2, (height, width))
    return Render(normal=maps[:, :3], albedo=maps[:, 3:6], shaded=maps[:, 6:9], mask=maps[:, 10], depth=maps[:, 9],
                  landmarks=camera.to_picture(placed, posed.landmarks2d)[..., :2], present=head.present,
                  model_fingerprint=model.fingerprint)


def raster_vertices(placed: Head, verts: Tensor) -> Tensor:
    """World vertices [B, V, 3] as the rasterizer takes them, in the head's own picture size."""
    shifted = camera.to_raster(camera.to_picture(placed, verts), placed.width, placed.height)
    return shifted + shifted.new_tensor([0.0, 0.0, DEPTH_SHIFT])


@dataclass(frozen=True)
class _Looks:
    """What the visible points of a batch of heads take their colours from, on the device that draws."""

    faces: Tensor                           # [F, 3]
    uv_faces: Tensor                        # [F, 3]
    at: Tensor                              # [N, 2] texture coordinates, -1..1, y down
    normals: Tensor                         # [B, V, 3]
    albedo: Tensor                          # [T, 3, h, w] of each texture that occurs
    texture: list[int]                      # B rows of `albedo`
    light: Tensor                           # [B, 9, 3]


def _looks(head: Head, model: HeadModel, normals: Tensor, device: torch.device) -> _Looks:
    albedo, which = texture.albedo_sheets(model, head)
    at = model.uvs * model.uvs.new_tensor([2.0, -2.0]) + model.uvs.new_tensor([-1.0, 1.0])      # 2u-1, -(2v-1)
    return _Looks(model.faces.to(device), model.uv_faces.to(device), at.to(device), normals.to(device),
                  albedo.to(device), which, head.light.to(normals).to(device))


def _parts(present: Tensor, pixels: int, device: torch.device) -> list[range]:
    """Neighbours that are drawn together: one by one on a processor; on a card, where each call costs a launch, many."""
    most = 1 if device.type == "cpu" else max(1, PIXELS_AT_ONCE_ON_GPU // pixels)
    parts: list[range] = []
    for i in present.nonzero().flatten().tolist():
        if parts and parts[-1].stop == i and len(parts[-1]) < most:
            parts[-1] = range(parts[-1].start, i + 1)
        else:
            parts.append(range(i, i + 1))
    return parts


def _surface(seen: Fragments, looks: _Looks, part: range) -> Tensor:
    """Normal, albedo and shaded colour of the P visible points of the heads `part` -> [P, 9]."""
    owner = seen.pixel // (seen.height * seen.width)                                            # 0.. within the part
    count = [len(owner)] if len(part) == 1 else torch.bincount(owner, minlength=len(part)).tolist()
    verts = looks.normals.shape[1]
    corners = looks.faces[seen.face] + owner[:, None] * verts
    here = slice(part.start, part.stop)
    normal = (looks.normals[here].flatten(0, 1)[corners] * seen.weights[..., None]).sum(1)
    at = (looks.at[looks.uv_faces[seen.face]] * seen.weights[..., None]).sum(1)
    colour = torch.cat([F.grid_sample(looks.albedo[looks.texture[i]][None], mine[None, None], align_corners=False)[0, :, 0].T
                        for i, mine in zip(part, at.split(count), strict=True)])
    return torch.cat([normal, colour, colour * light.shade_each(normal, looks.light[here], count)], 1)


def _put(flat: Tensor, part: range, seen: Fragments, values: Tensor) -> None:
    """Write the points into their pictures, [B, 11, H*W]: nine colours, depth, cover."""
    pixels = flat.shape[2]
    places = seen.pixel % pixels
    pictures = part.start if len(part) == 1 else part.start + seen.pixel // pixels
    values = torch.cat([values, seen.depth[:, None], torch.ones_like(seen.depth)[:, None]], 1)
    flat[pictures, :, places] = values.T if len(part) == 1 else values


def vertex_normals(verts: Tensor, faces: Tensor) -> Tensor:
    """Area-weighted vertex normals of [B, V, 3] -> [B, V, 3], unit length (zero where undefined)."""
    faces = faces.to(verts.device)
    a, b, c = (verts[:, faces[:, k]] for k in range(3))
    face_normals = torch.cross(b - a, c - a, dim=-1)
    total = torch.zeros_like(verts)
    for k in range(3):
        total.index_add_(1, faces[:, k], face_normals)
    return F.normalize(total, dim=-1, eps=1e-12)


def _require_finite(head: Head) -> None:
    for name in ("identity", "expression", "texture", "rotation_radians", "jaw_radians", "light", "camera", "crop_to_picture",
                 "gaze_radians", "neck_share", "worn_skins"):
        require(bool(getattr(head, name).isfinite().all()), f"head {name.replace('_', ' ')}", "must be finite numbers",
                "NaN or infinity", "make or load the head again")
