"""The miniature's drawn portraits: what a caption says is what is seen, who it is does not change, where the face is."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from caphuman_core.head.new import new_head
from caphuman_core.render.maps import render
from caphuman_train.miniature.recipe import Pictures
from caphuman_train.miniature.scene import draw, generator, scene_of
from caphuman_train.miniature.styles import grey_of, styled
from caphuman_train.miniature.words import HAIR_COLOURS, Look, draw_look

SIDE = 64


@pytest.fixture(scope="module")
def plain(head_model):
    """A front view without anything unusual."""
    scene = scene_of(head_model, 0, SIDE, 1, 0)
    return replace(scene, head=new_head(head_model, SIDE, SIDE), tint=0.0, look=Look("short", "brown", "red", "blue", "plain",
                                                                                           "photo"))


def drawn(scene, head_model, **look):
    return draw(replace(scene, look=replace(scene.look, **look)), head_model)


def differs(one, other):
    return (one.picture - other.picture).abs().amax(0) > 0.02


def test_a_picture_follows_from_its_numbers_alone(head_model):
    first, again = (draw(scene_of(head_model, 5, SIDE, 3, 1), head_model) for _ in range(2))
    assert torch.equal(first.picture, again.picture)
    assert torch.equal(first.face, again.face)
    for seed, person, number in ((6, 3, 1), (5, 4, 1), (5, 3, 0)):
        assert not torch.equal(first.picture, draw(scene_of(head_model, seed, SIDE, person, number), head_model).picture)


def test_two_pictures_of_a_person_are_of_one_person_in_other_poses_and_clothes(head_model):
    one, other = (scene_of(head_model, 0, SIDE, 7, number) for number in (0, 1))
    stranger = scene_of(head_model, 0, SIDE, 8, 0)
    assert torch.equal(one.head.identity, other.head.identity)
    assert torch.equal(one.head.texture, other.head.texture)
    assert not torch.equal(one.head.identity, stranger.head.identity)
    assert not torch.equal(one.head.texture, stranger.head.texture)
    assert not torch.equal(one.head.rotation_radians, other.head.rotation_radians)
    assert not torch.equal(one.head.light, other.head.light)


def test_the_first_pictures_of_a_person_have_an_even_light_and_nothing_else_changes(head_model):
    plain, even = ([scene_of(head_model, 0, SIDE, 7, number, lit) for number in range(4)] for lit in (0, 2))
    for one, before in zip(even[2:], plain[2:], strict=True):
        assert torch.equal(one.head.light, before.head.light)
    for one, before in zip(even[:2], plain, strict=False):
        assert torch.equal(one.head.rotation_radians, before.head.rotation_radians)
        assert (one.look, one.tint, one.seed) == (before.look, before.tint, before.seed)
        assert not torch.equal(one.head.light, before.head.light)
    lights = torch.cat([scene_of(head_model, 0, SIDE, person, number, 2).head.light for person in range(12) for number in (0, 1)])
    any_light = torch.cat([scene_of(head_model, 0, SIDE, person, number).head.light for person in range(12) for number in (0, 1)])
    assert lights[:, 0].std(0).max() < 0.25 * any_light[:, 0].std(0).max()    # ambient: a third of the range


def test_each_colour_stands_just_before_what_has_it():
    for number in range(60):
        look = draw_look(generator(0, "test", number))
        words = look.caption.replace(",", "").split()
        assert words[words.index("shirt") - 1] == look.shirt
        assert words[words.index("background") - 1] == look.ground
        assert words[words.index("hair") - 1] == (look.hair if look.cut != "bald" else "no")
        assert " a orange" not in look.caption


def test_every_word_of_the_grammar_is_drawn():
    looks = [draw_look(generator(0, "test", number)) for number in range(400)]
    for kind, least in (("cut", 4), ("hair", len(HAIR_COLOURS)), ("shirt", 10), ("ground", 10), ("ground_kind", 3), ("medium", 2),
                        ("order", 6)):
        assert len({getattr(look, kind) for look in looks}) == least, kind


def test_a_word_changes_its_own_part_of_the_picture(plain, head_model):
    red, blue = drawn(plain, head_model), drawn(plain, head_model, shirt="blue")
    where = differs(red, blue)
    assert where[-4:, SIDE // 2 - 8:SIDE // 2 + 8].all()
    assert not where[:SIDE // 2].any()
    assert not (where & red.face).any()
    chest = red.picture[:, -2, SIDE // 2], blue.picture[:, -2, SIDE // 2]
    assert chest[0][0] > 2 * chest[0][2]
    assert chest[1][2] > 2 * chest[1][0]
    ground = differs(red, drawn(plain, head_model, ground="yellow"))
    assert ground[:4, :4].all()
    assert (ground & red.face).sum() <= 0.1 * red.face.sum()
    hair = differs(red, drawn(plain, head_model, hair="white"))
    assert hair[:SIDE // 2].any()
    assert not hair[-8:].any()
    assert not hair[:4, :4].any()


def test_long_hair_hangs_over_the_shirt_and_the_chin_is_before_it(plain, head_model):
    black, white = (drawn(plain, head_model, cut="long", hair=colour) for colour in ("black", "white"))
    red, blue = (drawn(plain, head_model, cut="bald", shirt=colour) for colour in ("red", "blue"))
    assert (differs(black, white) & differs(red, blue)).sum() > 10                          # hair, where a bald one's shirt is
    nod = replace(plain, head=plain.head.replace(rotation_radians=torch.tensor([[0.5, 0.0, 0.0]]), neck_share=torch.ones(1)))
    one, other = (drawn(nod, head_model, shirt=colour) for colour in ("red", "blue"))
    assert one.face.any()
    assert (differs(one, other) & one.face).sum() <= 0.05 * one.face.sum()


def test_a_grey_photo_has_no_colours(plain, head_model):
    picture = drawn(plain, head_model, medium="grey photo").picture
    assert torch.equal(picture[0], picture[1])
    assert torch.equal(picture[1], picture[2])
    assert picture.std() > 0.05


def test_the_face_is_skin_without_neck_ears_and_hair(plain, head_model):
    front = drawn(plain, head_model)
    marks = render(plain.head, head_model, SIDE, SIDE).landmarks[0].round().long()
    for inner in (27, 30, 33, 51, 57):                       # nose and mouth
        assert front.face[marks[inner, 1], marks[inner, 0]]
    rows = front.face.any(1).nonzero()
    assert rows.max() <= marks[8, 1] + 1
    assert rows.min() < marks[19, 1]
    assert not front.face[:, :marks[0, 0]].any()
    assert not front.face[:, marks[16, 0] + 1:].any()
    bald, haired = drawn(plain, head_model, cut="bald"), drawn(plain, head_model, cut="long")
    assert haired.face.sum() < bald.face.sum()
    assert not (haired.face & ~bald.face).any()
    assert 0.05 < front.face.float().mean() < 0.5


def test_the_shirt_turns_with_the_bust(plain, head_model):
    from caphuman_train.miniature.shirt import AROUND, worn
    turned = plain.head.replace(rotation_radians=torch.tensor([[0.0, 0.8, 0.0]]))          # the face to the picture's right

    def breast(head):
        """Where the front of the fifth ring is, seen from the ring's middle: x."""
        ring = worn(head, head_model)[0, 5 * AROUND:6 * AROUND]
        return float(ring[0, 0] - ring.mean(0)[0])
    assert abs(breast(plain.head)) < 0.01
    assert breast(turned) > 0.05
    assert abs(breast(turned.replace(neck_share=torch.ones(1)))) < 0.02                     # the neck makes the whole turn


def test_styles_keep_what_is_where_and_change_how_it_looks(plain, head_model):
    picture = drawn(plain, head_model).picture[None]
    for style in ("ink", "poster"):
        other = styled(picture, style)
        assert other.shape == picture.shape
        assert other.min() >= 0
        assert other.max() <= 1
        assert (other - picture).abs().mean() > 0.05
        both = torch.stack([grey_of(picture).flatten(), grey_of(other).flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.5, style
    assert torch.allclose(styled(picture, "ink").flip(-1), styled(picture.flip(-1), "ink"), atol=1e-5)


def test_recipe_settings_are_checked(tmp_path):
    from caphuman_core.check import InputError
    from caphuman_train.miniature.recipe import DEFAULT, read_recipe
    assert read_recipe(DEFAULT).pictures == Pictures()
    path = tmp_path / "recipe.toml"
    for text, said in (("[pictures]\nside = 100", "multiple of 64"), ("[autoencoder]\ncrop = 60", "multiple of 8"),
                       ("[base]\nstepps = 3", "write base.steps"), ("[network]\nwidth = 48", "32, 64, 160 or 320"),
                       ("[pictures]\nstyle = 'oil'", "ink, poster"), ("[pictures]\neach = 1", "at least 2")):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            read_recipe(path)
