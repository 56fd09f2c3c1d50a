"""What refining expects of a head before it looks at the photo, and what it says of each photo afterwards."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from caphuman_core.flow import Face, Faces, Head
from caphuman_core.head.fit import refine
from caphuman_core.head.fit.geometry import state_of
from caphuman_core.head.fit.refine import Told
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.points import five_from_68
from caphuman_core.render.maps import pose

SIDE = 64


@pytest.fixture(scope="module")
def model():
    return load_builtin()


def fitted(model, texture=0.0) -> Head:
    head = new_head(model, SIDE, SIDE)
    return head.replace(identity=head.identity + 0.3, expression=head.expression + 0.2, jaw_radians=head.jaw_radians + 0.1,
                        gaze_radians=head.gaze_radians + 0.15, texture=head.texture + texture)


def face_of(head, model, **more) -> Face:
    points = pose(head, model).landmarks2d[0, :, :2] * 100 + 32
    return Face(torch.zeros(4), 1.0, five_from_68(points), points, **more)


@pytest.mark.parametrize(("texture", "points68", "scores", "kept"), [
    (0.0, True, False, ()),                                       # a landmark fit: the points tell all of it again
    (0.0, False, False, ("expression", "jaw")),                   # five points do not
    (0.0, True, True, ("expression", "jaw")),                     # scores have told it
    (0.5, True, False, ("expression", "jaw", "identity", "gaze")),                     # skin was read: so was the shape
])
def test_what_is_expected_is_what_was_seen_before_else_the_mean(model, texture, points68, scores, kept):
    head, names = fitted(model, texture), model.expression_names
    face = face_of(head, model, expression_scores={"jawOpen": 0.1} if scores else None)
    face = face if points68 else replace(face, points68=None)
    state = state_of(head)
    found = refine._expected(state, head, face, model)
    for name in ("identity", "gaze", "jaw"):
        wanted = getattr(state.shape, name)
        assert torch.equal(getattr(found.shape, name), wanted if name in kept else 0 * wanted), name
    left_out = [name in ("jawOpen", "mouthClose", "tongueOut") or name.startswith("eyeLook") for name in names]
    wanted = [0.2 if "expression" in kept and not out else 0 for out in left_out]
    assert found.shape.expression.tolist() == pytest.approx(wanted)
    assert (found.turn is state.turn, found.shift is state.shift) == (True, True)


def test_scores_without_named_actions_tell_nothing(model):
    head = fitted(model)
    face = face_of(head, model, expression_scores={"jawOpen": 0.1})
    nameless = replace(model, expression_names=())
    assert float(refine._expected(state_of(head), head, face, nameless).shape.expression.abs().max()) == 0
    bare = replace(face, points68=None)
    assert float(refine._expected(state_of(head), head, bare, nameless).shape.expression.min()) == pytest.approx(0.2), "no looks"


def test_a_photo_is_known_where_it_has_points_and_a_head(model):
    heads = Head.stack([fitted(model)] * 3).replace(present=torch.tensor([True, True, False]))
    face = face_of(fitted(model), model)
    faces = Faces(((face,), (), (face,)), SIDE, SIDE)
    photos, masks = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, SIDE, SIDE), torch.arange(3.0).view(3, 1, 1).expand(3, 8, 8)
    found = [refine._photo(number, photos, faces, heads, model, masks) for number in range(3)]
    assert [one is not None for one in found] == [True, False, False]
    faces = Faces(((face,),) * 3, SIDE, SIDE)
    heads = heads.replace(present=torch.ones(3, dtype=torch.bool))
    for number in range(3):
        one = refine._photo(number, photos, faces, heads, model, masks)
        assert (one.number, float(one.picture.max()), float(one.skin.max())) == (number, number, number)
        assert one.skin.shape == (1, 8, 8)
        assert float(refine._photo(number, photos, faces, heads, model, masks[1:2]).skin.max()) == 1, "one mask serves all"
        assert refine._photo(number, photos, faces, heads, model, None).skin is None
    bare = Faces(((replace(face, points68=None, points5=None),), (), (face,)), SIDE, SIDE)
    assert refine._photo(0, photos, bare, heads, model, None) is None
    assert refine._untold(bare, heads, 0) == (
        "Photo 1: the head came back as it was, because its face has no points; connect a face detector that gives some.")
    assert refine._untold(bare, heads, 1) == "Photo 2: no face, nothing to refine."
    gone = heads.replace(present=torch.tensor([True, True, False]))
    assert refine._untold(faces, gone, 2) == "Photo 3: no face, nothing to refine."


@pytest.mark.parametrize(("before", "after", "end"), [
    (Told(9.0, 0.05, 0.2), Told(1.0, 0.012, 0.034), "5.0 % of the eyes' distance off before, 1.2 % now; colours 20.0 % off before, "
                                                    "3.4 % now."),
    (Told(9.0, 0.05, None), Told(1.0, 0.012, 0.034), "1.2 % now; too little skin is seen to tell its colour."),
    (Told(9.0, 0.05, 0.2), Told(1.0, 0.012, None), "1.2 % now; too little skin is seen to tell its colour.")])
def test_the_note_tells_before_and_after(model, before, after, end):
    head = fitted(model)
    face = face_of(head, model)
    dense = replace(face, points478=torch.rand(478, 2, generator=torch.Generator().manual_seed(0)) * SIDE)
    for seen, start in ((face, "68 points; the gaze is not told by them."), (dense, "478 points, irises among them."),
                        (replace(face, points68=None), "only five points were seen: mouth, brows and gaze are not told by them;")):
        photo = refine._photo(0, torch.zeros(1, 3, SIDE, SIDE), Faces(((seen,),), SIDE, SIDE), head, model, None)
        note = refine._note(photo, before, after)
        assert note.startswith(start)
        assert note.endswith(end)


def test_a_fit_starts_without_what_eyes_and_jaw_do_where_the_points_tell_the_mouth(model, monkeypatch):
    started = []
    monkeypatch.setattr(refine, "solve", lambda views, states, model: started.extend(states) or states)
    head = fitted(model)
    for points68 in (True, False):
        face = face_of(head, model)
        face = face if points68 else replace(face, points68=None)
        photo = refine._photo(0, torch.zeros(1, 3, SIDE, SIDE), Faces(((face,),), SIDE, SIDE), head, model, None)
        (found,) = refine._with_shape([photo], model)
        assert (len(started), found.width) == (1, SIDE)
        amounts = dict(zip(model.expression_names, started.pop().shape.expression.tolist(), strict=True))
        assert amounts["jawOpen"] == amounts["eyeLookUpLeft"] == pytest.approx(0.0 if points68 else 0.2)
        assert amounts["mouthSmileLeft"] == pytest.approx(0.2)
