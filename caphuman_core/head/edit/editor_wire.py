"""What travels between the head editor in the browser and the server: heads as JSON, meshes and vertices as bytes.

A binary message is a little-endian uint32 with the length of a JSON header, the header (padded with spaces to a multiple of
four bytes), then the arrays the header names. Nothing here knows who asks: a request holds all it needs.
"""
from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from ...check import fail, require
from ...flow import Head
from ...pixels import bytes_of
from ...render.options import MAX_SIDE
from ..model.hair import hair_cap, skull_turn, styles_of
from ..model.head_model import HeadModel
from ..model.posing import pose_head
from ..model.reduced import rest_joints
from ..model.texture import albedo_texture
from ..pivot import EYES, JAW
from ..rotations import matrix_from_axis_angle
from .corrections import corrected, handle_places
from .edit import expressed, neck_after, require_mode, turned_by
from .expressions import Unit, amounts_like, expression_change, unit_expression
from .gaze import gaze_after
from .recipes import EXPRESSIONS
from .widget_values import DIRECTIONS, GAZE

LARGEST = 1e3                # of any code: far outside every real head, far inside float32
LEVELS = 65535               # of a quantised coordinate
# What a hand takes hold of in the view -> landmarks of the 68, counted from 0, in whose middle it lies. Sides are the person's own.
HANDLES = {"mouth_right": (48,), "mouth_left": (54,), "brow_right": (19,), "brow_left": (24,), "lid_right": (37, 38),
           "lid_left": (43, 44), "chin": (8,)}


class EditorModel:
    """A head model with what the editor asks again and again already worked out."""

    def __init__(self, model: HeadModel) -> None:
        self.model = model
        self._units: dict[str, Unit] = {}

    def unit(self, model: HeadModel, name: str) -> Unit:
        """`unit_expression`, worked out once a name: on FLAME it solves a linear system."""
        if name not in self._units:
            self._units[name] = unit_expression(model, name)
        return self._units[name]


def head_json(head: Head, model_name: str) -> dict[str, Any]:
    """The first head of a batch as plain numbers; names as in `flow.Head`."""
    numbers = {name: getattr(head, name)[0].tolist() for name in
               ("identity", "expression", "texture", "rotation_radians", "jaw_radians", "light", "camera", "crop_to_picture",
                "gaze_radians", "neck_share")}
    return {"model": model_name, "fingerprint": head.model_fingerprint, "width": head.width, "height": head.height, **numbers}


def head_of_json(model: HeadModel, request: dict[str, Any]) -> Head:
    """The head, a batch of one, that `head_json` told."""
    def rows(name: str, count: int, width: int) -> Tensor:
        given = request.get(name)
        if not isinstance(given, list) or len(given) != count:
            fail(name, f"must be {count} rows", type(given).__name__, "send the head as it came")
        return torch.stack([numbers({name: row}, name, width, exactly=True) for row in given])[None]
    codes = {name: numbers(request, name, len(basis))[None] for name, basis in
             (("identity", model.identity_basis), ("expression", model.expression_basis), ("texture", model.texture_basis))}
    triples = {name: numbers(request, name, 3, exactly=True)[None] for name in ("rotation_radians", "jaw_radians", "camera")}
    return Head(model_fingerprint=model.fingerprint, **codes, **triples, light=rows("light", 9, 3),
                crop_to_picture=rows("crop_to_picture", 3, 3), gaze_radians=rows("gaze_radians", 2, 2),
                width=picture_side("width", request.get("width")), height=picture_side("height", request.get("height")),
                present=torch.ones(1, dtype=torch.bool),
                neck_share=torch.tensor([number("neck_share", request.get("neck_share", 0.0))]).clamp(0, 1))


def corrected_json(model: HeadModel, request: dict[str, Any]) -> dict[str, Any]:
    """The head of a request after its `corrections`, as JSON, and `points`: where its landmarks lie in the picture, by name."""
    text = request.get("corrections", "")
    require(isinstance(text, str), "corrections", "must be a text", type(text).__name__, "send the widget's value")
    head = corrected(head_of_json(model, request), model, text)
    return {**head_json(head, request["model"]), "points": handle_places(head, model)}


def mesh_message(model: HeadModel) -> bytes:
    """Topology: uvs float32 [N, 2] (v up), gloss float32 [V], faces and uv_faces [F, 3], uint16 or uint32 as `index_bytes` says.

    hair_styles: those of HAIR_STYLES that `hair_message` answers.
    shape_names, texture_names: one for each of the first DIRECTIONS that the model has, "" where it has no name.
    """
    wide = max(model.template.shape[0], model.uvs.shape[0]) > 65536
    kind = "<u4" if wide else "<u2"
    header = {"fingerprint": model.fingerprint, "vertices": model.template.shape[0], "uvs": model.uvs.shape[0],
              "triangles": model.faces.shape[0], "index_bytes": 4 if wide else 2,
              "shape_names": _first_names(model.identity_names, len(model.identity_basis)),
              "texture_names": _first_names(model.texture_names, len(model.texture_basis)), "hair_styles": styles_of(model)}
    floats = (value.numpy().astype("<f4") for value in (model.uvs, model.gloss))
    return _message(header, *floats, model.faces.numpy().astype(kind), model.uv_faces.numpy().astype(kind))


def _first_names(names: tuple[str, ...], count: int) -> list[str]:
    shown = min(DIRECTIONS, count)
    return [*names[:shown], *[""] * (shown - len(names))]


def hair_message(model: HeadModel, style: str) -> bytes:
    """A cap as `hair.HairCap` has it: offset, place and weights float32; anchors, faces and along as `index_bytes` says."""
    cap = hair_cap(model, style)
    if cap is None:
        fail("hair", f"must be one of {', '.join(styles_of(model)) or 'none'} on the head model '{model.name}'", repr(style)[:40],
             "choose bald, or the built-in head")
    wide = len(model.template) > 65536
    header = {"fingerprint": model.fingerprint, "vertices": len(cap.offset), "triangles": len(cap.faces),
              "hung": cap.anchors.shape[1], "index_bytes": 4 if wide else 2}
    return _message(header, *(value.numpy().astype("<f4") for value in (cap.offset, cap.place, cap.weights)),
                    *(value.numpy().astype("<u4" if wide else "<u2") for value in (cap.anchors, cap.faces, cap.along)))


def texture_message(model: HeadModel, request: dict[str, Any]) -> bytes:
    """The albedo texture of a code `texture`: uint8 [H, W, 3], red first, row 0 at v = 1."""
    code = numbers(request, "texture", model.texture_basis.shape[0])
    pixels = bytes_of(albedo_texture(model, code[None])[0])
    return _message({"width": pixels.shape[1], "height": pixels.shape[0]}, pixels)


def vertices_message(editor: EditorModel, request: dict[str, Any]) -> bytes:
    """The posed head before its global rotation: uint16 [V, 3], a vertex being low + step * value, metres.

    request: identity, expression, jaw_radians, gaze_radians, neck_share, rotation_radians of the incoming head; of the edit mode,
    jaw_degrees, the angles of GAZE, neck (what is added to the share), turn (yaw, pitch, roll in degrees), expressions
    {name: amount} and shape (added to identity). Where the neck makes no part of the turn, rotation and turn may be left out.
    The header also carries root (what the global rotation turns about), pivot, pivot_root and eyes (see `_pivots`) of the edited
    head and, in own, of the incoming one, the points of HANDLES on the posed face, metres, and skull, the rotation [3][3] of what
    hair hangs on (None where the model has no hair).
    """
    model = editor.model
    own = numbers(request, "identity", model.identity_basis.shape[0])
    identity = _shaped(model, own, request)
    expression, jaw = _expressed(editor, request)
    root = _root(model, identity, expression)
    turn, neck = _neck(request)
    posed = pose_head(model, identity[None], expression[None], turn, jaw[None], _gaze(request), neck)
    verts, landmarks = posed.verts[0], posed.landmarks2d[0]
    if neck:
        back = matrix_from_axis_angle(turn)[0]
        verts, landmarks = (verts - root) @ back + root, (landmarks - root) @ back + root
    pivots = _pivots(model, identity)
    low, high = verts.amin(0), verts.amax(0)
    step = ((high - low) / LEVELS).clamp(min=1e-12)
    header = {"fingerprint": model.fingerprint, "vertices": len(verts), "low": low.tolist(), "step": step.tolist(),
              "root": root.tolist(), **pivots, "own": pivots if torch.equal(identity, own) else _pivots(model, own),
              "skull": skull_turn(model, verts[None])[0].tolist() if styles_of(model) else None,
              "handles": {name: landmarks[list(points)].mean(0).tolist() for name, points in HANDLES.items()}}
    return _message(header, ((verts - low) / step).round().clamp(0, LEVELS).numpy().astype("<u2"))


def _shaped(model: HeadModel, own: Tensor, request: dict[str, Any]) -> Tensor:
    """Identity code [I] after the edit."""
    change = numbers(request, "shape", min(DIRECTIONS, len(model.identity_basis)))
    identity = torch.zeros(max(len(own), len(change)))
    identity[:len(own)] += own
    identity[:len(change)] += change
    return identity


def _pivots(model: HeadModel, identity: Tensor) -> dict[str, list[float]]:
    """The pivot, the root joint that it turns about (see `pivot.pivot`), and midway between the eyes: of a head at rest."""
    joints = rest_joints(model, identity[None])[0]
    eyes = joints[list(EYES)].mean(0)
    return {"pivot": ((eyes + joints[JAW]) / 2).tolist(), "pivot_root": joints[0].tolist(), "eyes": eyes.tolist()}


def _gaze(request: dict[str, Any]) -> Tensor:
    """Gaze [1, 2, 2] after the edit."""
    eyes = request.get("gaze_radians", [[0.0, 0.0], [0.0, 0.0]])
    require(isinstance(eyes, list) and len(eyes) == 2, "gaze_radians", "must be a list of 2 eyes", repr(eyes)[:40],
            "send the head as it came")
    before = torch.stack([numbers({"gaze_radians": eye}, "gaze_radians", 2, exactly=True) for eye in eyes])
    left, up, inwards = (number(name, request.get(name, 0.0)) for name in GAZE)
    return gaze_after(before[None], (left, up, inwards), request.get("mode", "add"))


def _neck(request: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The face's rotation [1, 3] and the neck's share of it [1] after the edit; no rotation where the neck is still."""
    mode = request.get("mode", "add")
    own, more = (number(name, request.get(name, 0.0)) for name in ("neck_share", "neck"))
    require(0 <= more <= 1, "neck", "must be from 0 to 1", more, "send the value of neck_share")
    share = neck_after(torch.tensor([own]), more, mode)
    if not share:
        return torch.zeros(1, 3), share
    yaw, pitch, roll = numbers(request, "turn", 3, exactly=True).tolist()
    return turned_by(numbers(request, "rotation_radians", 3, exactly=True)[None], (yaw, pitch, roll), mode), share


def amounts_json(editor: EditorModel, request: dict[str, Any]) -> dict[str, Any]:
    """Named amounts like a head's own `expression` code, and the jaw_radians [3] that they bring along."""
    size = editor.model.expression_basis.shape[0]
    given = numbers(request, "expression", size)
    amounts = amounts_like(editor.model, torch.cat([given, torch.zeros(size - len(given))]), editor.unit)
    return {"amounts": amounts, "jaw_radians": expression_change(editor.model, amounts, editor.unit)[1].tolist()}


def _expressed(editor: EditorModel, request: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Expression code [E] and jaw_radians [3] after the edit."""
    size = editor.model.expression_basis.shape[0]
    given = numbers(request, "expression", size)
    mode = request.get("mode", "add")
    require_mode(mode)
    before = torch.cat([given, torch.zeros(size - len(given))])
    change = expression_change(editor.model, _amounts(request.get("expressions", {})), editor.unit)
    return expressed(before, numbers(request, "jaw_radians", 3, exactly=True), change,
                     number("jaw_degrees", request.get("jaw_degrees", 0.0)), mode)


def _root(model: HeadModel, identity: Tensor, expression: Tensor) -> Tensor:
    """The root joint of the shaped head, [3] metres: skinning places joints with identity and expression in them."""
    regress = model.joint_regressor[0]
    shaped = regress @ model.template
    for code, basis in ((identity, model.identity_basis), (expression, model.expression_basis)):
        shaped = shaped + torch.einsum("k,kvc,v->c", code, basis[:len(code)], regress)
    return shaped


def _amounts(given: Any) -> dict[str, float]:
    require(isinstance(given, dict), "expressions", "must be names with amounts", type(given).__name__, "send an object")
    for name in given:
        require(name in EXPRESSIONS, "expressions", "must hold known names", repr(name)[:40], f"use {', '.join(EXPRESSIONS)}")
    return {name: number(name, value) for name, value in given.items()}


def picture_side(name: str, value: Any) -> int:
    """A whole number of pixels, 1 to 8192."""
    require(type(value) is int and 1 <= value <= MAX_SIDE, name, f"must be from 1 to {MAX_SIDE} pixels", repr(value)[:40],
            "choose a size in that range")
    return value


def number(name: str, value: Any) -> float:
    """A finite JSON number of reasonable size."""
    require(type(value) in (int, float) and abs(value) <= LARGEST, name, f"must be a number within {LARGEST:g}", repr(value)[:40],
            "type a number")
    return float(value)


def numbers(request: dict[str, Any], name: str, most: int, exactly: bool = False) -> Tensor:
    """A list of at most (or exactly) so many finite numbers -> float32 [N]."""
    given = request.get(name, [])
    fits = isinstance(given, list) and (len(given) == most if exactly else len(given) <= most)
    require(fits, name, f"must be a list of {'' if exactly else 'at most '}{most} numbers",
            f"{len(given)} entries" if isinstance(given, list) else type(given).__name__, "send the head as it came")
    return torch.tensor([number(name, value) for value in given], dtype=torch.float32)


def _message(header: dict[str, Any], *arrays: Any) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + b"".join(array.tobytes() for array in arrays)
