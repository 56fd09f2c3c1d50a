"""Fitting a head to detected points, without DECA: pose, place and size, and what more the points can tell.

Scaled orthographic projection and regularised least squares (Levenberg-Marquardt) on the landmarks of the loaded model.
Five points give pose, place, size and the broad proportions of the face; 68 give expression and jaw as well. Expression
scores (ARKit names) set expression and jaw directly on a model that has those actions; on others the landmarks tell more.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...check import fail
from ...flow import Face, Faces, Head
from ...points import five_from_68
from .. import camera
from ..edit.expressions import pose_of_scores
from ..model.head_model import HeadModel
from ..model.posing import PosedHead, pose_head
from ..model.reduced import landmark_model
from ..new import new_head
from ..rotations import axis_angle_from_matrix, matrix_from_axis_angle

STEPS = 25
BOX_TO_CROP = 1.1 * 1.25                 # DECA's crop around its 68-point box, so that cameras look like DECA's
POINT_SIGMA = {5: 0.02, 68: 0.02}        # expected error of a detected point, in eye distances
CODE_SIGMA = 1.0                         # expected size of identity codes (standard deviations)
EXPRESSION_SIGMA = 0.5
HELD = {"jawOpen", "mouthClose", "tongueOut"}     # actions left out: the jaw joint does the first, the others need it open
JAW_SIGMA_RADIANS = 0.15
PITCH_SIGMA = {5: 0.1, 68: 0.5}          # sine; five points cannot tell a nod from a smile or a long nose, people rarely nod far
MOST_JAW_RADIANS = 0.5
CONTOUR_WEIGHT = 0.4                     # detectors place the jaw line loosely


@dataclass(frozen=True)
class _Layout:
    """Where each unknown lies in the vector that is solved for."""

    identity: int
    jaw: int                             # 1, or 0 where jaw and expression are known
    expression: int

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """rotation [3], log scale [1], shift [2], jaw, identity, expression."""
        return x.split([3, 1, 2, self.jaw, self.identity, self.expression])

    @property
    def size(self) -> int:
        return 6 + self.jaw + self.identity + self.expression


def fit_faces(faces: Faces, model: HeadModel, step: Callable[[int], object] | None = None) -> Head:
    """One head per photo, in the photo's own frame, from the face found there.

    A photo without a face keeps its place with `present` False. Raises InputError when a photo has several faces.
    step(i) is called after i photos, for progress.
    """
    require_one_face(faces)
    small = landmark_model(model)
    heads = []
    for number, found in enumerate(faces.per_image, start=1):
        heads.append(fit_face(found[0], model, small, faces.width, faces.height) if found
                     else new_head(model, faces.width, faces.height).replace(present=torch.zeros(1, dtype=torch.bool)))
        if step is not None:
            step(number)
    return Head.stack(heads)


def require_one_face(faces: Faces) -> None:
    """Refuse photos with several faces: which one is meant is the user's to say."""
    for number, found in enumerate(faces.per_image, start=1):
        if len(found) > 1:
            fail(f"photo {number}", "must have one face to fit a head to", f"{len(found)} faces",
                 "choose one with CapHuman Select Face, or set max_faces to 1 in CapHuman Detect Faces")


def predicted_points68(faces: Faces, model: HeadModel) -> list[Tensor | None]:
    """68 points for each photo's one face, from a landmark fit, where the detector gave only five; else None."""
    require_one_face(faces)
    small = landmark_model(model)
    points: list[Tensor | None] = []
    for found in faces.per_image:
        if found and found[0].points68 is None and found[0].points5 is not None:
            head = fit_face(found[0], model, small, faces.width, faces.height)
            points.append(camera.to_picture(head, _landmarks(head, small).landmarks2d)[0, :, :2])
        else:
            points.append(None)
    return points


def fit_face(face: Face, model: HeadModel, small: HeadModel, width: int, height: int) -> Head:
    """Fit one face; `small` is `landmark_model(model)`. A face without points (a whole-image stand-in) gets a frontal
    head that fills its box."""
    head = new_head(model, width, height)
    points = face.points68 if face.points68 is not None else face.points5
    if points is None:
        return _fill_box(head, small, face.box_xyxy)
    points = points.float().cpu()
    head = head.replace(crop_to_picture=_crop(points, face)[None])
    scored = face.expression_scores is not None and (bool(model.expression_names) or len(points) == 5)
    if scored:
        expression, jaw = pose_of_scores(model, face.expression_scores or {})
        head = head.replace(expression=expression[None], jaw_radians=jaw[None])
    return _solve(head, small, points, free_expression=len(points) == 68 and not scored)


def _crop(points: Tensor, face: Face) -> Tensor:
    """Placing [3, 3] of the crop around the points; MTCNN's five span about half of what 68 do, so its box serves."""
    low, high = (points.amin(0), points.amax(0)) if len(points) == 68 else (face.box_xyxy[:2].cpu(), face.box_xyxy[2:].cpu())
    side = max(float((high - low).mean()) * BOX_TO_CROP, 1.0)
    left, top = ((low + high) / 2 - side / 2).tolist()
    return camera.picture_transform(side / camera.CROP_SIZE, side / camera.CROP_SIZE, left, top)


def _fill_box(head: Head, small: HeadModel, box: Tensor) -> Head:
    """A neutral head whose landmarks' box has the size and centre of a face box."""
    shape = camera.to_picture(head, _landmarks(head, small).landmarks3d)[0, :, :2]
    low, high = shape.amin(0), shape.amax(0)
    factor = float((box[2:] - box[:2]).clamp(min=1).min() / (high - low).max())
    shift = (box[:2] + box[2:]) / 2 - (low + high) / 2 * factor
    move = camera.picture_transform(factor, factor, float(shift[0]), float(shift[1]))
    return head.replace(crop_to_picture=head.crop_to_picture @ move)


def _landmarks(head: Head, small: HeadModel) -> PosedHead:
    return pose_head(small, head.identity, head.expression, head.rotation_radians, head.jaw_radians)


def _solve(head: Head, small: HeadModel, points: Tensor, free_expression: bool) -> Head:
    """Levenberg-Marquardt from a linear pose; returns the head with pose, camera, identity (and expression) set."""
    layout = _Layout(head.identity.shape[1], int(free_expression), head.expression.shape[1] if free_expression else 0)
    expression_sigma = torch.tensor([1e-3 if name in HELD else EXPRESSION_SIGMA for name in small.expression_names]
                                    or [EXPRESSION_SIGMA])[:max(layout.expression, 1)]
    five = len(points) == 5
    eye_pixels = float((_eyes(points)[1] - _eyes(points)[0]).norm().clamp(min=1.0))
    weight = torch.ones(len(points), 1) / (POINT_SIGMA[len(points)] * eye_pixels)
    if not five:
        weight[:17] *= CONTOUR_WEIGHT

    def residuals(x: Tensor) -> Tensor:
        rotation, log_scale, shift, jaw, identity, expression = layout.split(x)
        jaw3 = torch.cat([jaw, jaw.new_zeros(2)])[None] if free_expression else head.jaw_radians
        code = expression[None] if free_expression else head.expression
        posed = pose_head(small, identity[None], code, rotation[None], jaw3)
        shape = five_from_68(posed.landmarks3d) if five else posed.landmarks2d
        at = camera.place(camera.project(shape, torch.cat([log_scale.exp(), shift])[None]), head.crop_to_picture)[0, :, :2]
        pitch = matrix_from_axis_angle(rotation)[1, 2:]
        priors = [identity / CODE_SIGMA, pitch / PITCH_SIGMA[len(points)], jaw / JAW_SIGMA_RADIANS]
        if free_expression:
            priors.append(expression / expression_sigma)
        return torch.cat([((at - points) * weight).flatten(), *priors])

    def bounded(x: Tensor) -> Tensor:
        rotation, log_scale, shift, jaw, identity, expression = layout.split(x)
        if small.expression_names:       # named actions run from none to full
            expression = expression.clamp(0, 1)
        return torch.cat([rotation, log_scale, shift, jaw.clamp(0, MOST_JAW_RADIANS), identity.clamp(-3, 3), expression])

    x = _levenberg_marquardt(residuals, _start(head, small, points, layout), bounded)
    rotation, log_scale, shift, jaw, identity, expression = (part[None] for part in layout.split(x))
    head = head.replace(rotation_radians=rotation, camera=torch.cat([log_scale.exp(), shift], 1), identity=identity)
    if not free_expression:
        return head
    return head.replace(jaw_radians=torch.cat([jaw, torch.zeros(1, 2)], 1), expression=expression)


def _eyes(points: Tensor) -> Tensor:
    """The two eye centres [2, 2], viewer's left first."""
    return (points if len(points) == 5 else five_from_68(points))[:2]


def _start(head: Head, small: HeadModel, points: Tensor, layout: _Layout) -> Tensor:
    """Scaled orthographic pose of the neutral head by linear least squares (POS, DeMenthon and Davis 1995)."""
    rest = _landmarks(head.replace(rotation_radians=torch.zeros(1, 3), jaw_radians=torch.zeros(1, 3)), small).landmarks3d[0]
    shape, seen = five_from_68(rest), points if len(points) == 5 else five_from_68(points)
    centre = shape.mean(0)
    place = head.crop_to_picture[0]
    crop = (seen - place[2, :2]) / place.diagonal()[:2] / camera.CROP_SIZE * 2 - 1
    flat = (crop - crop.mean(0)) * torch.tensor([1.0, -1.0])                                  # y up
    rows = torch.linalg.lstsq((shape - centre).double(), flat.double(), driver="gelsd").solution.T.float()   # [2, 3]
    scale = float(rows.norm(dim=1).mean().clamp(min=1e-6))
    turn = _nearest_rotation(rows)
    root = small.joint_regressor[0] @ small.template
    middle = turn @ (centre - root) + root
    shift = torch.stack([crop[:, 0].mean() / scale, -crop[:, 1].mean() / scale]) - middle[:2]
    return torch.cat([axis_angle_from_matrix(turn), torch.tensor([math.log(scale)]), shift, torch.zeros(layout.size - 6)])


def _nearest_rotation(rows: Tensor) -> Tensor:
    """The rotation whose first two rows are nearest to [2, 3] (up to scale)."""
    u, _, vh = torch.linalg.svd(rows / rows.norm(dim=1).mean().clamp(min=1e-9), full_matrices=False)
    two = u @ vh
    return torch.cat([two, torch.linalg.cross(two[0], two[1])[None]])


def _levenberg_marquardt(residuals: Callable[[Tensor], Tensor], x: Tensor, bounded: Callable[[Tensor], Tensor]) -> Tensor:
    """Minimise the squared residuals; each step is kept only if it helps."""
    forward = torch.func.jacfwd(residuals)

    def jacobian(at: Tensor) -> Tensor:
        with torch.inference_mode(False):       # ComfyUI runs nodes in inference mode, where nothing can be differentiated
            return forward(at.clone())

    damping, best = 1e-3, residuals(x).square().sum()
    for _ in range(STEPS):
        j, r = jacobian(x), residuals(x)
        gram, slope = j.T @ j, j.T @ r
        for _ in range(6):
            trial = bounded(x - torch.linalg.solve(gram + damping * torch.diag(gram.diagonal() + 1e-9), slope))
            cost = residuals(trial).square().sum()
            if cost < best:
                break
            damping *= 10
        else:
            return x
        gain, x, best, damping = (best - cost) / best, trial, cost, damping / 10
        if gain < 1e-5:
            return x
    return x
