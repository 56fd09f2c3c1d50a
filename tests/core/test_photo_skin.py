"""A photo's skin on a head: a drawn head's albedo is found again, on its own side, free of the light; the head carries it on."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from caphuman_core.check import InputError
from caphuman_core.flow import SKIN_SIDE, Head
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.transfer import blend, transfer
from caphuman_core.head.fit.photo_skin import look_up, with_photo_skin
from caphuman_core.head.fit.sheets import blurred, mirrored
from caphuman_core.head.light import directional
from caphuman_core.head.model.atlas import atlas
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.model.texture import albedo_sheets
from caphuman_core.head.new import new_head
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_yaw_pitch_roll
from caphuman_core.head.storage import load_head, save_head
from caphuman_core.render.maps import render
from caphuman_core.render.mesh import textured_mesh

SIDE = 384


@pytest.fixture(scope="module")
def model():
    return load_builtin()


@pytest.fixture(scope="module")
def sheet(model):
    return atlas(model)


def person(model, yaw_degrees: float, marks: torch.Tensor) -> Head:
    """Somebody with marks on the skin that no texture code knows, lit from the picture's left."""
    turn = matrix_from_yaw_pitch_roll(*(torch.tensor([angle]) for angle in (yaw_degrees, 0.0, 0.0)))
    draws, head = torch.Generator().manual_seed(4), new_head(model, SIDE, SIDE)
    return head.replace(
        identity=0.7 * torch.randn(1, model.identity_basis.shape[0], generator=draws),
        texture=0.5 * torch.randn(1, model.texture_basis.shape[0], generator=draws),
        rotation_radians=axis_angle_from_matrix(turn), light=directional(-50.0, 20.0)[None], skin_detail=marks.half()[None])


def blotches() -> torch.Tensor:
    """Marks like freckles and flushes, [3, SKIN_SIDE, SKIN_SIDE]."""
    draws = torch.Generator().manual_seed(1)
    soft = F.interpolate(torch.randn(1, 1, 24, 24, generator=draws), (SKIN_SIDE, SKIN_SIDE), mode="bicubic")[0] * 0.05
    dots = F.interpolate((torch.rand(1, 1, 128, 128, generator=draws) > 0.985).float(), (SKIN_SIDE, SKIN_SIDE), mode="bilinear")[0]
    return (soft - 0.18 * dots) * torch.tensor([1.0, 0.8, 0.7]).view(3, 1, 1)


def picture_of(head, model, noise: float = 0.02) -> torch.Tensor:
    seen = render(head, model, SIDE, SIDE)
    drawn = seen.shaded + 0.4 * (1 - seen.mask[:, None])
    return (drawn + noise * torch.randn(drawn.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)


def albedo_of(head, model, sheet) -> torch.Tensor:
    """[N, 3] of the atlas's texels."""
    return albedo_sheets(model, head.with_sheet())[0][0].flatten(1).T[sheet.place]


@pytest.fixture(scope="module")
def turned(model, sheet):
    """A person with blotches, turned by 30 degrees; the photo; the head without its marks; it in the photo's skin; a sentence."""
    true = person(model, 30.0, (blotches() + blotches().flip(2)) / 2 ** 0.5)
    photo, bare = picture_of(true, model), true.without_skin()
    made, (told,) = with_photo_skin(photo, bare, model)
    return true, photo, bare, made, told


def test_the_albedo_that_was_drawn_is_found_again_where_it_is_seen(model, sheet, turned):
    """Of a noisy photo: a light that were not taken off, or a place that were off by some pixels, would err by far more."""
    true, photo, bare, made, told = turned
    seen = look_up(photo, bare, model, sheet).weight > 0.5
    want, got, own = (albedo_of(head, model, sheet)[seen] for head in (true, made, bare))
    assert float((got - want).abs().mean()) < 0.015
    assert float((got - want).abs().mean()) < 0.5 * float((own - want).abs().mean())
    weight = seen.float()
    fine = [(values - blurred(values, weight, sheet, 12))[seen].mean(1) for values in
            (albedo_of(made, model, sheet), albedo_of(true, model, sheet))]
    assert float(torch.corrcoef(torch.stack(fine))[0, 1]) > 0.9
    assert told.endswith("% of the face's skin is the photo's; the rest is filled in.")


def test_the_side_that_is_not_seen_is_filled_from_the_other(model, sheet, turned):
    true, photo, bare, made, _ = turned
    seen = look_up(photo, bare, model, sheet)
    far = (seen.weight < 0.1) & (mirrored(seen.colour, seen.weight, sheet)[1] > 0.5)
    assert int(far.sum()) > 5000
    want, got, own = (albedo_of(head, model, sheet)[far] for head in (true, made, bare))
    assert float((got - want).abs().mean()) < 0.7 * float((own - want).abs().mean())


def test_a_mole_stays_on_its_own_cheek(model, sheet):
    """The person's left is at the picture's right, and at the sheet's right."""
    marks = torch.zeros(3, SKIN_SIDE, SKIN_SIDE)
    spot = slice(280, 296), slice(330, 346)
    marks[:, spot[0], spot[1]] = -0.12
    bare = person(model, 0.0, marks).without_skin()
    made, _ = with_photo_skin(picture_of(person(model, 0.0, marks), model), bare, model)
    detail = made.skin_detail[0].float().mean(0)
    assert float(detail[spot].mean()) < -0.04
    assert abs(float(detail[spot[0], SKIN_SIDE - 346:SKIN_SIDE - 330].mean())) < 0.02


def test_relit_from_the_other_side_it_looks_as_the_person_does(model, turned):
    true, _, bare, made, _ = turned
    shown = {}
    for name, head in (("true", true), ("made", made), ("bare", bare)):
        other = edit_head(head, model, Edit(yaw_degrees=-10.0)).replace(light=directional(50.0, 20.0)[None])
        shown[name] = render(other, model, 128, 128).shaded
    off = {name: float((shown[name] - shown["true"]).abs().mean()) for name in ("made", "bare")}
    assert off["made"] < 0.75 * off["bare"]


def test_what_is_turned_away_or_hidden_is_not_read(model, sheet):
    head = person(model, 60.0, torch.zeros(3, SKIN_SIDE, SKIN_SIDE)).without_skin()
    seen = look_up(picture_of(head, model), head, model, sheet)
    points = (model.template[model.faces[sheet.face]] * sheet.weights[..., None]).sum(1)
    cheek = sheet.region > 0.9
    assert float(seen.weight[cheek & (points[:, 0] > 0.03)].mean()) < 0.05, "the person's left cheek is behind the nose"
    assert float(seen.weight[cheek & (points[:, 0] < -0.03)].mean()) > 0.6


def test_hair_over_the_forehead_is_no_skin(model, sheet, turned):
    _, photo, bare, made, _ = turned
    fringe, high = photo.clone(), int(0.32 * SIDE)
    fringe[:, :, :high] = torch.tensor([0.10, 0.07, 0.05]).view(1, 3, 1, 1)
    covered, _ = with_photo_skin(fringe, bare, model)
    difference = (covered.skin_detail - made.skin_detail).float().abs().mean(1)[0]
    assert float(difference[100:380].mean()) < 0.02
    assert float(albedo_of(covered, model, sheet).amin(1).quantile(0.02)) > 0.1, "nothing of it is left on the skin"


def test_eyes_teeth_and_tongue_stay_the_models(sheet, turned):
    detail = turned[3].skin_detail[0]
    assert bool(sheet.other.any())
    assert not bool(detail[:, sheet.other].any())


def test_a_mask_says_what_is_skin(model, sheet, turned):
    _, photo, bare, _, _ = turned
    mask = torch.ones(1, SIDE, SIDE)
    mask[:, :, SIDE // 2:] = 0
    half, all_of_it = (look_up(photo, bare, model, sheet, given).weight.sum() for given in (mask, torch.ones(1, SIDE, SIDE)))
    assert 0.1 < float(half / all_of_it) < 0.9


def test_too_little_skin_leaves_the_head_as_it_was(model, turned):
    _, photo, bare, made, _ = turned
    for head in (bare, made):
        kept, (told,) = with_photo_skin(photo, head, model, torch.zeros(1, SIDE, SIDE))
        assert told.startswith("Too little of its skin is seen")
        assert torch.equal(kept.skin_detail, head.skin_detail)
    away = bare.replace(present=torch.zeros(1, dtype=torch.bool))
    assert with_photo_skin(photo, away, model)[1] == ("",)


def test_a_head_that_lies_roughly_takes_no_skin(model, turned):
    """Of a batch only the one that was placed by five points."""
    _, photo, bare, _, _ = turned
    made, (first, second) = with_photo_skin(photo.expand(2, -1, -1, -1), Head.stack([bare, bare]), model, roughly=(True, False))
    assert "five points" in first
    assert "five points" not in second
    assert not made[0].skin_detail.any()
    assert made[1].skin_detail.any()


def test_photos_of_one_person_give_one_skin(model, sheet):
    """Each side comes from the photo that shows it."""
    marks = blotches()
    sides = [person(model, yaw, marks) for yaw in (-35.0, 35.0)]
    photos = torch.cat([picture_of(head, model) for head in sides])
    made, _ = with_photo_skin(photos, Head.stack([head.without_skin() for head in sides]), model, same_person=True)
    assert made.skin_detail[0].equal(made.skin_detail[1])
    front = sheet.region > 0.95
    want, got, own = (albedo_of(head, model, sheet)[front] for head in (sides[0], made[0], sides[0].without_skin()))
    assert float((got - want).abs().mean()) < 0.6 * float((own - want).abs().mean())


# --- how a head carries it


@pytest.fixture
def plain(model):
    return new_head(model, 64, 64)


@pytest.fixture
def worn(plain):
    return plain.replace(skin_detail=torch.full((1, 3, SKIN_SIDE, SKIN_SIDE), -0.25).half())


def test_a_render_shows_it_in_albedo_and_shading_and_nowhere_else(model, plain, worn):
    bare, skin = (render(head, model, 64, 64) for head in (plain, worn))
    inside = (bare.mask > 0)[:, None].expand(-1, 3, -1, -1)
    torch.testing.assert_close(skin.albedo[inside], bare.albedo[inside] - 0.25, atol=0.06, rtol=0)     # edges are smoothed
    assert float((skin.albedo - bare.albedo)[inside].mean()) == pytest.approx(-0.25, abs=0.002)
    assert torch.equal(skin.normal, bare.normal)
    assert float((skin.shaded / skin.albedo - bare.shaded / bare.albedo)[inside].abs().max()) < 1e-4
    both = render(Head.stack([plain, worn, plain]), model, 64, 64)
    torch.testing.assert_close(both.albedo[1], skin.albedo[0])
    torch.testing.assert_close(both.albedo[0], both.albedo[2])


def test_a_mesh_has_it_in_its_texture(model, plain, worn):
    both = textured_mesh(Head.stack([plain, worn]), model)
    assert both.texture.shape == (2, SKIN_SIDE, SKIN_SIDE, 3)
    open_range = (both.texture[0] > 0.26) & (both.texture[0] < 1)
    torch.testing.assert_close(both.texture[1][open_range], both.texture[0][open_range] - 0.25, atol=1e-3, rtol=0)
    assert textured_mesh(plain, model).texture.shape[1] == model.texture_mean.shape[1]


def test_a_texture_slider_changes_the_skin_of_the_photo_by_as_much_as_the_models(model, plain, worn):
    edit = Edit(texture=(1.5,))
    changes = [albedo_sheets(model, edit_head(head, model, edit))[0][0] - albedo_sheets(model, head)[0][0]
               for head in (plain.with_sheet(), worn)]
    torch.testing.assert_close(*changes, atol=1e-5, rtol=0)
    assert float(changes[0].abs().max()) > 0.01


def test_edits_and_transfers_keep_it_and_a_blend_goes_from_one_to_the_other(model, plain, worn):
    kept = transfer(worn, edit_head(plain, model, Edit(yaw_degrees=20.0)), True, True, True, True)
    assert torch.equal(kept.skin_detail, worn.skin_detail), "who it is stays the source's"
    assert not transfer(plain, worn, True, True, True, True).has_skin
    way = blend(plain, worn, 3)
    assert [float(skin.float().mean()) for skin in way.skin_detail] == pytest.approx([0.0, -0.125, -0.25])
    still = blend(worn, worn, 50)
    assert still.skin_detail.shape[0] == 50
    assert still.worn_skins.shape[0] == 1, "held once"


def test_batches(plain, worn):
    mixed = Head.stack([plain, worn])
    assert [bool(mixed[k].skin_detail.any()) for k in (0, 1)] == [False, True]
    film = Head.stack([worn.expand(5), worn[0]])
    assert (len(film), film.skin_detail.shape[0], film.worn_skins.shape[0]) == (6, 6, 1)
    assert not Head.stack([plain, plain]).has_skin
    assert not mixed.without_skin().has_skin


def written(path) -> tuple[dict, list[str], tuple[int, ...]]:
    with safe_open(path, "pt") as file:
        names = sorted(file.keys())
        return file.metadata(), names, tuple(file.get_slice("skin_detail").get_shape()) if "skin_detail" in names else ()


def test_files_hold_it_once_and_older_versions_read_all_others(tmp_path, plain, worn):
    save_head(plain, tmp_path / "plain.safetensors")
    info, names, _ = written(tmp_path / "plain.safetensors")
    assert info["format"] == "caphuman-head-codes/1"
    assert "skin_detail" not in names
    save_head(worn.expand(3), tmp_path / "film.safetensors")
    info, _, shape = written(tmp_path / "film.safetensors")
    assert info["format"] == "caphuman-head-codes/2"
    assert shape == (1, 3, SKIN_SIDE, SKIN_SIDE)
    back = load_head(tmp_path / "film.safetensors")
    assert back.skin_detail.dtype == torch.float16
    assert torch.equal(back.skin_detail, worn.expand(3).skin_detail)
    save_head(Head.stack([plain, worn]), tmp_path / "two.safetensors")
    assert torch.equal(load_head(tmp_path / "two.safetensors").skin_detail, Head.stack([plain, worn]).skin_detail)


@pytest.mark.parametrize(("skin", "rule"), [
    (torch.full((1, 3, 8, 8), 0.1), "must hold skins of 512 x 512, one for all heads or one for each, but got"),
    (torch.full((2, 3, SKIN_SIDE, SKIN_SIDE), 0.1), "must hold skins of 512 x 512"),
    (torch.full((1, 3, SKIN_SIDE, SKIN_SIDE), 9.0), "must hold skins that add at most 4 to albedo, but got more"),
])
def test_a_file_with_another_skin_is_refused(tmp_path, plain, skin, rule):
    from caphuman_core.files.weights import write_safetensors
    save_head(plain, tmp_path / "plain.safetensors")
    info, _, _ = written(tmp_path / "plain.safetensors")
    info["format"] = "caphuman-head-codes/2"
    write_safetensors(tmp_path / "bad.safetensors", {**plain.stored(), "skin_detail": skin}, info)
    with pytest.raises(InputError, match=rule):
        load_head(tmp_path / "bad.safetensors")
