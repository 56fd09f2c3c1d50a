"""Judges whose real weights cannot be shipped: DECA with deterministic weights, insightface with a stand-in for its networks."""
from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from face_photos import GOLDEN, photo

from caphuman_bench.score.control import DecaFitter, asked_head, errors, find_fitter
from caphuman_bench.score.faces import Seen
from caphuman_bench.score.identity import ArcFaceJudge
from caphuman_core.flow import Face
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_axis_angle, matrix_from_yaw_pitch_roll


@pytest.fixture(scope="module")
def deca(tmp_path_factory) -> DecaFitter:
    """models/flame as a user has it: DECA's encoder beside FLAME's own files."""
    from tools.stand_ins import detfill, face_synthetic
    models = tmp_path_factory.mktemp("models")
    face_synthetic.write(models / "flame")
    (models / "flame" / "generic_model_chumpy.pkl").unlink()
    shapes = json.loads((GOLDEN / "face_keys.json").read_text())["deca_model.tar"]["E_flame"]
    state = {key: torch.from_numpy(detfill.fill(f"E_flame.{key}", tuple(shape))) for key, shape in shapes.items()}
    torch.save({"E_flame": state}, models / "flame" / "deca_model.tar")
    fitter, missing = find_fitter(models)
    assert missing == {}
    assert isinstance(fitter, DecaFitter)
    return fitter


def seen(name: str) -> Seen:
    picture = photo(name)
    height, width = picture.shape[1:]
    points = torch.rand(68, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([width * 0.4, height * 0.3])
    return Seen(picture, Face(torch.tensor([0.0, 0.0, width, height]), 1.0, points68=points + width * 0.2))


def test_deca_is_taken_where_its_files_are(deca):
    assert deca.version.startswith("DECA (")


def test_the_same_picture_has_no_error_and_another_has(deca):
    first, again, other = deca.fit([seen("man_a_1"), seen("man_a_1"), seen("man_b_1")])
    assert set(errors(first, again).values()) == {0.0}
    assert all(value > 0 for value in errors(first, other).values())


def test_a_known_turn_of_decas_codes_gives_that_error(deca):
    fitted = deca.fit([seen("man_a_1")])[0]
    turn = matrix_from_yaw_pitch_roll(*torch.tensor([[20.0], [0.0], [0.0]]))
    turned = axis_angle_from_matrix(turn @ matrix_from_axis_angle(fitted.head.rotation_radians))
    found = errors(fitted, type(fitted)(fitted.head.replace(rotation_radians=turned), True))
    assert found["head_angle"] == pytest.approx(20, abs=1e-2)
    apart = float((turned - fitted.head.rotation_radians).norm())
    assert found["pose_rmse"] == pytest.approx(apart / math.sqrt(6), rel=1e-4)


def test_conditions_work_on_flame_too(deca):
    from caphuman_bench.lists import load_conditions
    base = deca.fit([seen("man_a_1")])[0]
    for entry in load_conditions():
        for edits in (True, False):
            asked = asked_head(base, entry, deca.model, edits)
            assert torch.equal(asked.head.identity, base.head.identity)
            assert errors(base, asked)["expression_rmse"] is not None


def test_arcface_judges_the_largest_face_it_finds(monkeypatch):
    small = Face(torch.tensor([0.0, 0.0, 5.0, 5.0]), 0.9, arcface=torch.nn.functional.normalize(torch.ones(512), dim=0))
    large = Face(torch.tensor([0.0, 0.0, 9.0, 9.0]), 0.6, arcface=torch.eye(512)[0])

    class Pack:
        name, files = "insightface", ()

        def __init__(self, folders, model_name, providers):
            pass

        def find(self, photos, search=None):
            return [() if float(photos.max()) == 0 else (small, large)]
    monkeypatch.setattr("caphuman_core.face.detectors.insightface.InsightFace", Pack)
    judge = ArcFaceJudge(Path("nowhere"))
    found, none = judge.embed([Seen(torch.ones(3, 9, 9), None), Seen(torch.zeros(3, 9, 9), None)])
    assert found[0] == 1.0
    assert none is None
    assert judge.similarity(found, found) == 1.0
    assert judge.similarity(found, small.arcface.double().numpy()) == pytest.approx(1 / math.sqrt(512))
