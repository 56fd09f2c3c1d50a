"""The head model and its pictures against the reference (FACE.md)."""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .compare import Distance, arrays, distance

FORWARD, TEXTURE, LANDMARKS = (2e-6, 1.0), (6e-4, 1.0), (5e-6, 1.0)      # face.json: float32 rounding; half precision storage
RENDERS = ("frontal512", "yaw60_512", "roll_offcentre512", "pitch256", "roll256", "expression_jaw256", "partly_out256", "crop224")
EDGE_SHARE, LEAST_EDGES = 5e-4, 3        # face.json: pixel centres within rounding of an edge
WITHIN = 0.999                           # of the values lie within these limits: geometry, light; and none beyond WORST
LIMITS = {np.float16: (5e-4, 1.1e-3), np.float32: (1e-4, 1e-4)}          # half precision rounding dominates where it was stored
WORST = {np.float16: 4e-3, np.float32: 2e-3}
DEPTH = 2e-4


@cache
def model() -> Any:
    """The synthetic head, read from FLAME's own file formats."""
    from caphuman_core.head.model.flame_files import load_flame
    with tempfile.TemporaryDirectory() as name:
        return load_flame(flame_files(Path(name)))


def flame_files(folder: Path) -> Any:
    """Write the synthetic head into a folder, with the fifty directions of its texture that are used; its FlameFiles."""
    from caphuman_core.head.model.flame_files import FlameFiles

    from ..stand_ins import face_synthetic
    face_synthetic.write(folder)
    mean, basis = face_synthetic.texture(50)
    np.savez(folder / "FLAME_texture.npz", mean=mean, tex_dir=basis)
    return FlameFiles(folder / "generic_model.pkl", folder / "landmark_embedding.npy", folder / "head_template.obj",
                      folder / "FLAME_texture.npz")


def head_of(case: dict[str, Any], head_model: Any, size: int, placing: str = "decode_tform") -> Any:
    """The Head of a golden case's codes."""
    from caphuman_core.flow import Head
    codes = {key: torch.from_numpy(np.asarray(case[key])) for key in ("shape", "exp", "tex", "pose", "light", "cam", placing)}
    return Head(model_fingerprint=head_model.fingerprint, identity=codes["shape"], expression=codes["exp"], texture=codes["tex"],
                rotation_radians=codes["pose"][:, :3], jaw_radians=codes["pose"][:, 3:], light=codes["light"],
                camera=codes["cam"], crop_to_picture=codes[placing], width=size, height=size,
                present=torch.ones(len(codes["pose"]), dtype=torch.bool))


def forward(head_model: Any, device: str = "cpu") -> Iterator[Distance]:
    """Vertices, landmarks and the texture of golden codes."""
    from caphuman_core.head.model.posing import pose_head
    from caphuman_core.head.model.texture import albedo_texture
    numbers = arrays("face_flame_procedural")
    for batch in ("A", "B"):
        mine = {key.split("/")[1]: value for key, value in numbers.items() if key.startswith(f"{batch}/")}
        case = {key: torch.from_numpy(value).to(device) for key, value in mine.items()}
        posed = pose_head(head_model, case["shape"], case["exp"], case["pose"][:, :3], case["pose"][:, 3:])
        for name in ("verts", "landmarks2d", "landmarks3d"):
            yield distance(f"{batch} {name}", getattr(posed, name), case[name], FORWARD)
    made = albedo_texture(head_model, torch.from_numpy(numbers["texture/tex"]).to(device))
    yield distance("texture", made, numbers["texture/albedo"].astype(np.float32), TEXTURE)


@dataclass(frozen=True)
class Picture:
    """How a drawn head differs from the golden one."""

    name: str
    edges: int                           # pixels that are covered in one picture only, or show another face
    most_edges: int
    within: float                        # least share of values within the limits, among pixels that show the same face
    worst: float
    most: float                          # that `worst` may be
    landmarks: Distance
    depth: float | None                  # worst difference, where the case holds depths

    @property
    def holds(self) -> bool:
        """Whether everything lies within the reference's tolerances."""
        return (self.edges <= self.most_edges and self.within >= WITHIN and self.worst <= self.most and self.landmarks.holds
                and (self.depth is None or self.depth <= DEPTH))


def picture(name: str, head_model: Any, device: str = "cpu", rasterizer: Any = None) -> Picture:
    """Draw a golden case on a device."""
    from caphuman_core.render.maps import pose, raster_vertices, render
    from caphuman_core.render.raster import rasterize
    case = arrays(f"face_render_procedural_{name}")
    size = case["hint"].shape[-1]
    head = head_of(case, head_model, size)
    where = torch.device(device)
    drawn = render(head, head_model, size, size, rasterizer=rasterizer or rasterize, device=where)
    seen = (rasterizer or rasterize)(raster_vertices(head, pose(head, head_model).verts).to(where), head_model.faces, size, size)
    face = np.full(size * size, -1)
    face[seen.pixel.cpu().numpy()] = seen.face.cpu().numpy()
    same, wanted = face.reshape(size, size) == case["pix_to_face"], case["alpha"] > 0
    alpha = drawn.mask[0].cpu().numpy() > 0
    difference = np.abs(drawn.hint().maps[0].cpu().numpy() - case["hint"].astype(np.float32))[:, same]
    kind = case["hint"].dtype.type
    shares = [float(np.mean(difference[part] <= limit))
              for part, limit in zip((slice(0, 6), slice(6, 9)), LIMITS[kind], strict=True)]
    depth = float(np.abs(drawn.depth[0].cpu().numpy() - case["zbuf"])[same & wanted].max()) if "zbuf" in case else None
    points = distance(f"{name} landmarks", drawn.landmarks[0].cpu() / size * 2 - 1, case["landmarks2d"], LANDMARKS)
    return Picture(name, max(int((~same).sum()), int((alpha != wanted).sum())), int(max(LEAST_EDGES, EDGE_SHARE * wanted.sum())),
                   min(shares), float(difference.max()), WORST[kind], points, depth)
