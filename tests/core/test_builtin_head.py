"""The built-in head: its file, FLAME's proportions, symmetry, and that every name moves what it says."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree
from torch import Tensor

from caphuman_core.flow import Head
from caphuman_core.head.model.head_model import BUILT_IN, HeadModel, load_builtin
from caphuman_core.head.model.landmarks import on_surface
from caphuman_core.head.model.posing import PosedHead, pose_head, skin
from caphuman_core.head.new import new_head
from caphuman_core.head.rotations import matrix_from_axis_angle
from caphuman_core.render.maps import render

FILE = Path(__file__).parents[2] / "caphuman_core/head/model/builtin_head.safetensors"
ARKIT = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)
EYE_DISTANCE = 0.0634        # metres
HALF = 3e-5                  # metres: half precision of offsets up to 0.06 m


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return load_builtin()


@pytest.fixture(scope="module")
def pair(model: HeadModel) -> np.ndarray:
    """The vertex at the mirrored place of each vertex."""
    verts = model.template.numpy()
    gap, twin = (np.asarray(found) for found in KDTree(verts).query(verts * [-1, 1, 1]))
    assert gap.max() < 1e-6                  # rounding of float32: the template is built symmetric
    assert np.array_equal(twin[twin], np.arange(len(verts)))
    return twin


def posed(model: HeadModel, amounts: dict[str, float] | None = None, jaw: float = 0.0, yaw: float = 0.0,
          identity: dict[str, float] | None = None) -> PosedHead:
    expression, code = torch.zeros(1, len(model.expression_names)), torch.zeros(1, len(model.identity_names))
    for name, amount in (amounts or {}).items():
        expression[0, model.expression_names.index(name)] = amount
    for name, amount in (identity or {}).items():
        code[0, model.identity_names.index(name)] = amount
    return pose_head(model, code, expression, torch.tensor([[0.0, yaw, 0.0]]), torch.tensor([[jaw, 0.0, 0.0]]))


def moved(model: HeadModel, **amounts: float) -> Tensor:
    """Movement of the 68 fixed landmarks [68, 3], metres."""
    return (posed(model, amounts).landmarks3d - posed(model).landmarks3d)[0]


def proportions() -> dict:
    return json.loads((Path(__file__).parents[1] / "golden/flame_proportions.json").read_text())


def flame_landmarks() -> np.ndarray:
    """FLAME's neutral landmarks at the model file's own origin (the published template is 1.5 m higher)."""
    return np.array(proportions()["landmarks68"]) - [0, 1.5, 0]


def test_file_is_small_and_says_what_it_is(model: HeadModel) -> None:
    from safetensors import safe_open
    assert FILE.stat().st_size < 12_000_000
    with safe_open(str(FILE), framework="pt") as file:
        info = file.metadata()
    assert info["format"] == "caphuman-head/2"
    assert info["name"] == BUILT_IN == model.name
    assert info["licence"].startswith("CC0-1.0")
    assert "CC0" in FILE.with_suffix(".LICENSE.txt").read_text()


def test_layout(model: HeadModel) -> None:
    verts = len(model.template)
    assert model.parents.tolist() == [-1, 0, 1, 1, 1]
    assert model.identity_basis.shape == (len(model.identity_names), verts, 3)
    assert model.expression_basis.shape == (52, verts, 3)
    assert sorted(model.expression_names) == sorted(ARKIT)
    assert model.landmark_faces.shape == (51,)
    assert model.full_faces.shape == (68,)
    assert model.contour_faces.shape == (79, 17)
    assert model.texture_mean.shape[0] == 3
    assert model.texture_basis.shape[1:] == model.texture_mean.shape
    assert float(model.texture_mean.min()) >= 0
    assert float(model.texture_mean.max()) <= 1
    assert float(model.uvs.min()) >= 0
    assert float(model.uvs.max()) <= 1
    assert set(model.faces.unique().tolist()) == set(range(verts))          # no loose vertex
    assert torch.equal(model.full_faces[17:], model.landmark_faces)


def test_weights_sum_to_one(model: HeadModel) -> None:
    # 1e-6: float32 sums of up to 5 (skinning), 3 (landmarks) and some hundred (regressor) terms
    for weights in (model.skinning, model.joint_regressor, model.landmark_weights, model.full_weights, model.contour_weights):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]), atol=1e-6, rtol=0)
    assert float(model.skinning.min()) >= 0
    assert float(model.contour_weights.min()) >= -1e-6
    assert float(model.full_weights.min()) >= -1e-6


def test_neutral_landmarks_are_where_flame_has_them(model: HeadModel) -> None:
    """4 mm at worst and 2 mm in the mean: the two neutral faces differ in lip and nose, which the smooth warp keeps."""
    gap = np.linalg.norm(posed(model).landmarks3d[0].numpy() - flame_landmarks(), axis=1)
    assert gap.max() < 0.004
    assert gap.mean() < 0.002


def test_size_and_place_are_flames(model: HeadModel) -> None:
    low, high = np.array(proportions()["bounding_box"]) - [0, 1.5, 0]
    # 6 mm: ears and bust are not landmarks, and the back of the head is only drawn towards the box
    np.testing.assert_allclose(model.template.amin(0).numpy(), low, atol=0.006)
    np.testing.assert_allclose(model.template.amax(0).numpy(), high, atol=0.006)
    points = posed(model).landmarks3d[0]
    eyes = [points[36:42].mean(0), points[42:48].mean(0)]
    assert float((eyes[1] - eyes[0]).norm()) == pytest.approx(EYE_DISTANCE, abs=0.001)
    middle = (points.amin(0) + points.amax(0)) / 2
    assert abs(float(middle[0])) < 1e-4
    assert abs(float(middle[1])) < 0.03


def test_joints(model: HeadModel) -> None:
    root, neck, jaw, left, right = (model.joint_regressor @ model.template).tolist()
    assert left[0] == pytest.approx(-right[0], abs=1e-5)
    assert left[0] > 0.025
    assert root[1] < neck[1] < jaw[1] < left[1]
    assert max(abs(root[0]), abs(neck[0]), abs(jaw[0])) < 1e-5
    longer = posed(model, identity={"head-scale-vert": 3.0}).verts[0]
    assert float((model.joint_regressor @ longer)[3, 1]) != pytest.approx(left[1], abs=1e-4)   # joints follow the person


def test_template_is_symmetric(model: HeadModel, pair: np.ndarray) -> None:
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for offset in model.identity_basis:
        twin = offset[pair] * flip
        assert min(float((offset - twin).abs().max()), float((offset + twin).abs().max())) < HALF
    torch.testing.assert_close(model.skinning[pair][:, [0, 1, 2, 4, 3]], model.skinning, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [name for name in ARKIT if name.endswith("Left")])
def test_left_and_right_actions_mirror(model: HeadModel, pair: np.ndarray, name: str) -> None:
    left = model.expression_basis[model.expression_names.index(name)]
    right = model.expression_basis[model.expression_names.index(name.removesuffix("Left") + "Right")]
    torch.testing.assert_close(left[pair] * torch.tensor([-1.0, 1.0, 1.0]), right, atol=HALF, rtol=0)


@pytest.mark.parametrize("name", [name for name in ARKIT if name.endswith(("Left", "Right"))
                                  and not name.startswith(("jaw", "mouthLeft", "mouthRight"))])
def test_sided_actions_move_the_persons_own_side(model: HeadModel, name: str) -> None:
    size = model.expression_basis[model.expression_names.index(name)].norm(dim=1)
    side = (size * model.template[:, 0].sign()).sum() / size.sum()
    assert float(side) * (1 if name.endswith("Left") else -1) > 0.35


def test_smile_raises_and_widens_the_mouth(model: HeadModel) -> None:
    change = moved(model, mouthSmileLeft=1, mouthSmileRight=1)
    assert float(change[48, 1]) > 0.004
    assert float(change[54, 1]) > 0.004
    assert float(change[48, 0]) < -0.002
    assert float(change[54, 0]) > 0.002


def test_blink_closes_the_eye_it_names(model: HeadModel) -> None:
    before, after = posed(model).landmarks3d[0], posed(model, {"eyeBlinkRight": 1}).landmarks3d[0]
    gap = [float((points[37] - points[41]).norm()) for points in (before, after)]
    assert gap[1] < 0.3 * gap[0]
    torch.testing.assert_close(after[42:48], before[42:48], atol=1e-4, rtol=0)       # the left eye stays


def test_brows_pucker_and_tongue(model: HeadModel) -> None:
    assert float(moved(model, browInnerUp=1)[[21, 22], 1].min()) > 0.002
    pucker = moved(model, mouthPucker=1)
    assert float(pucker[48, 0]) > 0.003
    assert float(pucker[54, 0]) < -0.003
    tongue = model.expression_basis[model.expression_names.index("tongueOut")]
    assert float(tongue[:, 2].max()) > 0.01


def test_looks_turn_the_eyeballs(model: HeadModel) -> None:
    left, right = (model.skinning[:, joint] == 1 for joint in (3, 4))
    looks = (("eyeLookOutLeft", left, 0, 1), ("eyeLookOutRight", right, 0, -1), ("eyeLookInLeft", left, 0, -1),
             ("eyeLookUpLeft", left, 1, 1), ("eyeLookDownRight", right, 1, -1))
    for name, eye, axis, sign in looks:
        offset = model.expression_basis[model.expression_names.index(name)]
        pupil = torch.where(eye)[0][model.template[eye][:, 2].argmax()]
        assert float(offset[pupil, axis]) * sign > 0.002


def test_jaw_opens_the_mouth(model: HeadModel) -> None:
    before, after = posed(model).landmarks3d[0], posed(model, jaw=0.3).landmarks3d[0]
    assert float(before[8, 1] - after[8, 1]) > 0.015                                  # the chin drops
    assert float((after[62] - after[66]).norm()) > 0.015                              # the lips part
    torch.testing.assert_close(after[27:48], before[27:48], atol=3e-3, rtol=0)        # nose and eyes stay but for the skin's pull


def test_turning_jaw_and_action_agree(model: HeadModel) -> None:
    """The pose corrective makes the jaw joint's opening the artist's: best turn within 1 mm at every landmark."""
    target = posed(model, {"jawOpen": 1}).landmarks3d
    worst = min(float((posed(model, jaw=float(angle)).landmarks3d - target).norm(dim=-1).max())
                for angle in np.arange(0.30, 0.45, 0.01))
    assert worst < 1e-3


def test_rotation_about_the_root_is_rigid(model: HeadModel) -> None:
    turned, still = posed(model, {"mouthSmileLeft": 1}, yaw=0.5), posed(model, {"mouthSmileLeft": 1})
    root = (model.joint_regressor @ still.verts[0])[0]
    turn = matrix_from_axis_angle(torch.tensor([[0.0, 0.5, 0.0]]))[0]
    torch.testing.assert_close(turned.verts[0], (still.verts[0] - root) @ turn.T + root, atol=1e-5, rtol=0)


def test_zero_pose_is_the_template(model: HeadModel) -> None:
    rest = skin(model, model.template[None], torch.eye(3).expand(1, 5, 3, 3))[0]
    torch.testing.assert_close(rest, model.template, atol=1e-6, rtol=0)


def test_landmarks_lie_in_ibug_order(model: HeadModel) -> None:
    points = posed(model).landmarks3d[0]
    order = [[17, 18, 19, 20, 21, 22, 23, 24, 25, 26], [36, 37, 38, 39, 42, 43, 44, 45], [48, 49, 50, 51, 52, 53, 54],
             [60, 61, 62, 63, 64], [31, 32, 33, 34, 35], [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]]
    for line in order:                                                                # viewer's left to right
        assert (points[line, 0].diff() > 0).all()
    assert (points[27:31, 1].diff() < 0).all()
    assert (points[27:31, 2].diff() > 0).all()
    assert float(points[[37, 38, 43, 44], 1].min()) > float(points[[40, 41, 46, 47], 1].max())
    assert float(points[[49, 50, 51, 52, 53], 1].min()) > float(points[[55, 56, 57, 58, 59], 1].max())
    twin = points[[16 - i for i in range(17)]] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(points[:17], twin, atol=1e-4, rtol=0)


def test_contour_slides_to_the_silhouette(model: HeadModel) -> None:
    assert torch.equal(model.contour_faces[0], model.full_faces[:17])
    points = on_surface(model.template[None], model.faces, model.contour_faces.flatten(), model.contour_weights.flatten(0, 1))
    rows = points[0].unflatten(0, (79, 17))
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for yaw in (10, 25, 39):
        turned, mirrored = rows[yaw], rows[39 + yaw].flip(0) * flip
        torch.testing.assert_close(turned, mirrored, atol=1e-3, rtol=0)               # triangles are not mirrored exactly
        torch.testing.assert_close(turned[:9], rows[0, :9], atol=1e-4, rtol=0)        # the near side keeps the jaw line
        angle = np.radians(yaw)
        across = np.cos(angle) * rows[:, :, 0] + np.sin(angle) * rows[:, :, 2]        # x in the turned picture
        assert (across[yaw, 10:] >= across[0, 10:] - 1e-3).all()                      # the far side moves outwards, if at all
        assert float((across[yaw, 12:] - across[0, 12:]).max()) > 0.001


def test_identity_directions_are_sane(model: HeadModel) -> None:
    size = model.identity_basis.norm(dim=2).amax(1)
    assert float(size.min()) > 2e-4
    assert float(size.max()) < 0.03
    wider = posed(model, identity={"nose-scale-horiz": 2.0}).verts[0] - model.template
    nose = posed(model).landmarks3d[0, 30]
    assert float((model.template[wider.norm(dim=1).argmax()] - nose).norm()) < 0.04
    flat = model.identity_basis.flatten(1)
    unit = flat / flat.norm(dim=1, keepdim=True)
    assert float((unit @ unit.T - torch.eye(len(unit))).abs().max()) < 0.97           # no direction twice


def test_texture_looks_like_a_face(model: HeadModel) -> None:
    size = 256
    head: Head = new_head(model, size, size)
    drawn = render(head, model, size, size)
    at = drawn.landmarks[0].long()

    def colour(points: Tensor) -> Tensor:
        return drawn.albedo[0][:, points[:, 1], points[:, 0]].mean(1)

    cheek = colour((at[[36, 45]] + at[[48, 54]]) // 2)
    lip = colour((at[[57]] + at[[66]]) // 2)
    brow = colour(at[[19, 24]] + torch.tensor([0, 1]))
    assert float(lip[0] / lip[1]) > 1.15 * float(cheek[0] / cheek[1])                 # lips are redder
    assert float(brow.mean()) < 0.75 * float(cheek.mean())                            # brows are darker
    whole = drawn.mask[0] > 0
    assert float(drawn.albedo[0][:, whole].min()) > 0                                 # no hole in the texture
    flipped = drawn.albedo[0].flip(2)
    assert float((flipped - drawn.albedo[0]).abs().mean()) < 0.01                     # left and right alike


def test_mesh_has_no_hole_in_front(model: HeadModel) -> None:
    """From the front, every picture column through the face is covered without a gap between crown and neck."""
    drawn = render(new_head(model, 192, 192), model, 192, 192)
    mask = drawn.mask[0].numpy() > 0
    columns = np.flatnonzero(mask.any(0))
    inner = columns[len(columns) // 3: -(len(columns) // 3)]
    for column in inner:
        rows = np.flatnonzero(mask[:, column])
        assert len(rows) == rows[-1] - rows[0] + 1
