"""Scoring on real photos with dlib's network, which stands in for judges whose weights cannot be shipped."""
from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from face_photos import package

from caphuman_bench.lists import load_conditions, load_prompts
from caphuman_bench.plan import IdentityEntry, Plan, SlotTarget, load_plan, save_plan
from caphuman_bench.score import run as scoring
from caphuman_bench.score.control import LandmarkFitter
from caphuman_bench.score.faces import DlibFaces, look, version_of
from caphuman_bench.score.identity import DlibJudge
from caphuman_bench.score.pictures import read_picture
from caphuman_bench.score.run import INFO, Options, score
from caphuman_bench.store import Store
from caphuman_core.check import InputError

PHOTOS = Path(__file__).parents[1] / "photos"
NAMES = ("man_a_1", "man_a_2", "man_a_3", "man_b_1")
PEOPLE = (IdentityEntry("man_a", "inputs/man_a_1.jpg", tuple(f"inputs/man_a_{i}.jpg" for i in (1, 2, 3))),
          IdentityEntry("man_b", "inputs/man_b_1.jpg", ("inputs/man_b_1.jpg",)))


@pytest.fixture(scope="module")
def dlib_there():
    package("face_recognition_models")
    dlib = pytest.importorskip("dlib", reason="the package dlib-bin is not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("shape_predictor", "face_recognition_model_v1"):       # a hundred megabytes, read once for all tests
            patch.setattr(dlib, name, cache(getattr(dlib, name)))
        yield dlib


@pytest.fixture(scope="module")
def vectors(dlib_there):
    """dlib's vector of each photo."""
    judge = DlibJudge()
    seen = look(DlibFaces(), [read_picture(PHOTOS / f"{name}.jpg") for name in NAMES])
    return judge, dict(zip(NAMES, judge.embed(seen), strict=True))


def made(folder: Path, pictures: list[Path | bytes], people=PEOPLE, heads: int = 1, samples: int | None = None) -> Path:
    """A run folder whose images are these, person by person."""
    slots = {"head": (SlotTarget("1", "name", "file"),)}
    count = samples or len(pictures) // len(people)
    plan = Plan(people, load_prompts()[:1], load_conditions()[:heads], count, 0, {}, slots)
    (folder / "inputs").mkdir(parents=True)
    (folder / "images").mkdir()
    for name in NAMES:
        shutil.copy(PHOTOS / f"{name}.jpg", folder / "inputs")
    save_plan(plan, folder)
    with Store.create(folder, plan) as store:
        for number, picture in enumerate(pictures):
            target = folder / "images" / f"{number}.jpg"
            target.write_bytes(picture if isinstance(picture, bytes) else picture.read_bytes())
            store.finish([(number, f"images/{number}.jpg", 1.0)])
    return folder


def values(folder: Path, metric: str) -> list[float | None]:
    with Store.open(folder, read_only=True) as store:
        return [value for _, _, value in store.scores(metric)]


def photo(name: str) -> Path:
    return PHOTOS / f"{name}.jpg"


def test_an_identical_picture_scores_one(vectors):
    judge, found = vectors
    assert all(judge.similarity(vector, vector) == 1.0 for vector in found.values())


def test_the_same_person_is_above_another_person(vectors):
    judge, found = vectors
    same = [judge.similarity(found[a], found[b]) for a, b in
            (("man_a_1", "man_a_2"), ("man_a_1", "man_a_3"), ("man_a_2", "man_a_3"))]
    other = [judge.similarity(found[name], found["man_b_1"]) for name in NAMES[:3]]
    assert min(same) > 0.4 > max(other)                     # dlib's own limit: distance 0.6


@pytest.fixture(scope="module")
def scored(dlib_there, tmp_path_factory):
    """man_a is given his reference, another photo of him, and man_b; man_b the man, a picture without a face, a broken file."""
    folder = made(tmp_path_factory.mktemp("run") / "real", [
        photo("man_a_1"), photo("man_a_2"), photo("man_b_1"),
        photo("man_b_1"), PHOTOS.parent / "golden" / "face_photo_no_face.png", b"no picture"])
    return folder, score(folder, Options(detector="dlib", groups=("face", "dlib", "control"), batch=4))


def test_scores_of_a_run(scored):
    folder, bench = scored
    copy, like, shuffled, own, faceless = values(folder, "identity_dlib")
    assert copy == pytest.approx(1.0, abs=1e-6)
    assert own == pytest.approx(1.0, abs=1e-6)
    assert copy > like > 0.4 > shuffled
    assert faceless is None
    assert values(folder, "face_found") == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert bench.unreadable == 1                            # the broken file has no scores: it may be mended
    assert bench.missing.keys() == {"DECA"}
    assert "not DECA" in bench.versions["control"]


def test_copying_the_reference_shows_and_likeness_does_not(scored):
    copy, like, _, only_photo, *_ = values(scored[0], "copy_paste_dlib")
    assert copy > 0.2                                       # the reference itself
    assert like < 0.05                                      # another true photo: no nearer to the reference than photos are
    assert only_photo is None                               # man_b has no other photo to compare with


def test_control_is_measured_or_missing(scored):
    shape, angle = values(scored[0], "shape_rmse"), values(scored[0], "head_angle")
    assert shape[0] == shape[3] == 0.0                      # the reference itself has the reference's shape
    assert shape[2] > 0.1
    assert shape[4:] == angle[4:] == [None]
    # The condition looks straight ahead; man_a_1 looks to the side by some degrees.
    assert 1 < angle[0] < 25


def test_what_is_scored_is_not_scored_again(scored, monkeypatch):
    folder, _ = scored
    again: list[str] = []
    monkeypatch.setattr(scoring, "read_picture", lambda path: again.append(path.name))
    score(folder, Options(detector="dlib", groups=("face", "dlib", "control")))
    assert again == ["5.jpg"]                               # what could not be read


def test_images_that_come_back_are_scored(dlib_there, tmp_path):
    """A disk that was not there must not leave its images without scores for ever."""
    folder = made(tmp_path / "run", [photo("man_a_2"), photo("man_b_1")])
    options = Options(detector="dlib", groups=("face", "dlib"))
    (folder / "images").rename(tmp_path / "elsewhere")
    assert score(folder, options).unreadable == 2
    (tmp_path / "elsewhere").rename(folder / "images")
    assert score(folder, options).unreadable == 0
    assert None not in values(folder, "identity_dlib")
    with Store.open(folder) as store:
        assert store.info(INFO)["unreadable"] == 0


def test_shuffled_people_score_low(dlib_there, tmp_path):
    right = made(tmp_path / "right", [photo("man_a_2"), photo("man_b_1")])
    wrong = made(tmp_path / "wrong", [photo("man_b_1"), photo("man_a_2")])
    for folder in (right, wrong):
        score(folder, Options(detector="dlib", groups=("dlib",)))
    assert min(values(right, "identity_dlib")) > 0.4 > max(values(wrong, "identity_dlib"))


def test_stopped_scoring_goes_on_where_it_was(dlib_there, tmp_path):
    folder = made(tmp_path / "run", [photo("man_a_2"), photo("man_a_3"), photo("man_b_1"), photo("man_b_1")])
    options = Options(detector="dlib", groups=("dlib",), batch=1)

    def stop(done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        score(folder, options, stop)
    first = values(folder, "identity_dlib")
    assert len(first) == 2
    steps: list[int] = []
    score(folder, options, lambda done, total: steps.append(total))
    assert steps == [2, 2]
    assert values(folder, "identity_dlib")[:2] == first
    assert len(values(folder, "identity_dlib")) == 4


def test_another_judge_starts_anew_and_says_so(dlib_there, tmp_path, monkeypatch):
    folder = made(tmp_path / "run", [photo("man_a_2"), photo("man_b_1")])
    options = Options(detector="dlib", groups=("dlib",))
    score(folder, options)
    monkeypatch.setattr(DlibJudge, "version", "another network")
    monkeypatch.setattr(DlibJudge, "similarity", lambda self, a, b: 0.123)
    before = values(folder, "identity_dlib")
    with pytest.raises(InputError, match=r"another network.*--models.*--again"):        # a forgotten option drops nothing
        score(folder, options)
    assert values(folder, "identity_dlib") == before
    bench = score(folder, replace(options, again=True))
    assert values(folder, "identity_dlib") == [0.123, 0.123]
    assert any("another network" in note for note in bench.notes)
    with Store.open(folder) as store:
        assert store.info(INFO)["versions"]["dlib"].startswith("another network")


def test_another_file_of_one_detector_is_another_judge(tmp_path):
    class Made:
        name = "made"
        files = (tmp_path / "a" / "x.onnx", tmp_path / "a" / "y.onnx")
    (tmp_path / "a").mkdir()
    for path in Made.files:
        path.write_bytes(b"1")
    first = version_of(Made())
    Made.files[1].write_bytes(b"2")
    assert first.startswith("made (a, ")
    assert version_of(Made()) != first
    assert version_of(DlibFaces) == "dlib"


def test_a_folder_that_holds_no_run_is_not_made(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        score(tmp_path / "run", Options())
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_not_there_yet_are_left_for_later(dlib_there, tmp_path):
    folder = made(tmp_path / "run", [photo("man_a_2")], samples=3)
    score(folder, Options(detector="dlib", groups=("dlib",)))
    assert len(values(folder, "identity_dlib")) == 1


def test_missing_judges_are_named_with_how_to_get_them(dlib_there, tmp_path):
    folder = made(tmp_path / "run", [photo("man_a_2"), photo("man_b_1")])
    bench = score(folder, Options(models=tmp_path, detector="dlib"))
    assert bench.missing.keys() == {"facenet", "arcface", "clip", "DECA"}
    for name, source in (("facenet", "vggface2"), ("arcface", "insightface"), ("clip", "clip-vit-large-patch14"),
                         ("DECA", "deca_model.tar")):
        assert source in bench.missing[name]
    assert values(folder, "identity_facenet") == []


def test_what_is_found_later_is_missing_no_more(dlib_there, tmp_path, monkeypatch):
    """The sentence on DECA goes once DECA is there, or heads are no longer asked about."""
    folder = made(tmp_path / "run", [photo("man_a_2"), photo("man_b_1")])
    score(folder, Options(models=tmp_path, detector="dlib", groups=("face", "control")))
    monkeypatch.setattr(scoring, "find_fitter", lambda models, device: (LandmarkFitter(), {}))
    score(folder, Options(models=tmp_path, detector="dlib", groups=("face", "clip")))
    with Store.open(folder) as store:
        assert store.info(INFO)["missing"].keys() == {"DECA", "clip"}
    score(folder, Options(models=tmp_path, detector="dlib", groups=("control",)))
    with Store.open(folder) as store:
        assert store.info(INFO)["missing"].keys() == {"clip"}


def test_photos_that_changed_since_the_plan_are_not_judges(dlib_there, tmp_path):
    folder = made(tmp_path / "run", [photo("man_a_2"), photo("man_b_1")])
    plan = load_plan(folder)
    hashes = {path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for person in PEOPLE for path in person.photos}
    save_plan(replace(plan, hashes=hashes), folder)
    shutil.copy(photo("man_b_1"), folder / "inputs" / "man_a_3.jpg")
    bench = score(folder, Options(detector="dlib", groups=("dlib",)))
    assert any("man_a_3.jpg" in note for note in bench.notes)
    assert values(folder, "copy_paste_dlib")[0] < -0.2      # the image is the only other photo that is left
    shutil.copy(photo("man_b_1"), folder / "inputs" / "man_a_1.jpg")
    with pytest.raises(InputError, match=r"man_a_1\.jpg.*must be the reference"):
        score(folder, Options(detector="dlib", groups=("face", "dlib", "control")))


def test_prompts_are_judged_without_any_face_detector(tmp_path, monkeypatch):
    from caphuman_bench.score.run import Bench
    folder = made(tmp_path / "run", [photo("man_a_2"), photo("man_b_1")])
    monkeypatch.setattr(scoring, "choose_detector", lambda name, models: pytest.fail("no face is looked for"))

    class Clip:
        def scores(self, pictures, keys):
            return [{"clip_score": float(picture.mean())} for picture in pictures]
    assert scoring.assemble(load_plan(folder), Options(groups=("clip",))).detector is None
    score(folder, Options(groups=("clip",)), bench=Bench(None, clip=Clip(), versions={"clip": "made"}, groups=("clip",)))
    assert len(set(values(folder, "clip_score"))) == 2


def test_facenet_judges_when_its_weights_are_there(tmp_path):
    """Random weights: what can be known is that an identical picture scores 1 and is no worse than another one."""
    from caphuman_bench.score.identity import FaceNetJudge
    from caphuman_core.identity.facenet import FaceNet
    torch.manual_seed(0)
    (tmp_path / "facenet").mkdir()
    torch.save(FaceNet().state_dict(), tmp_path / "facenet" / "some.pt")
    judge = FaceNetJudge(tmp_path)
    seen = look(DlibFaces(), [read_picture(photo(name)) for name in ("man_a_1", "man_b_1")])
    a, b = judge.embed(seen)
    assert judge.similarity(a, a) == pytest.approx(1.0, abs=1e-6)
    assert judge.similarity(a, b) < 1
    assert "some.pt" in judge.version


def test_unknown_groups_and_lost_references_are_refused(dlib_there, tmp_path):
    folder = made(tmp_path / "run", [photo("man_a_2"), photo("man_b_1")])
    with pytest.raises(InputError, match="must be of face"):
        score(folder, Options(groups=("taste",)))
    (folder / "inputs" / "man_a_1.jpg").unlink()
    with pytest.raises(InputError, match=r"man_a_1\.jpg"):
        score(folder, Options(detector="dlib", groups=("dlib",)))
