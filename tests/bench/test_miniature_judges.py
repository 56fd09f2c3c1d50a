"""The miniature's judges read drawn pictures as they were asked for, and tell those that were not."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from benchmarks.miniature import cases, colours, eye, figures, report, runs, world
from caphuman_bench.lists import full_values
from caphuman_bench.plan import ImageRecord, load_plan
from caphuman_bench.store import Store
from caphuman_train.miniature.pack import PARTS, TOLD, Packed, save_packed
from caphuman_train.miniature.recipe import DEFAULT, read_recipe
from caphuman_train.miniature.scene import SCALE, X, Y
from tools.devkit.places import ROOT

SIDE = 128
LIT = {"light_azimuth": 70.0, "light_elevation": 10.0, "light_intensity": 0.7, "light_ambient": 0.5}


def case(values, person=0, look=0, head="h", picture=None, reading=None):
    """A picture of a person under a condition; drawn as it is asked for, unless another is given."""
    full = full_values({**world.expression_heads()["jaw_00"], **values})
    record = ImageRecord(0, f"p{person:03}", head, f"c{look:02}", 0, 5)
    asked = world.asked_head(full, SIDE, None)
    made = cases.Case(record, torch.zeros(3, SIDE, SIDE), asked, world.look(look), person, full, reading)
    return replace(made, picture=made.drawn if picture is None else picture)


@pytest.fixture(scope="module")
def reader():
    return eye.Eye()


def test_the_judges_people_are_in_no_training():
    assert read_recipe(DEFAULT).pictures.seed not in (world.SEED, world.CALIBRATION)
    world.require_unseen()


# Values of an edit: least and most of what training's pictures were drawn with (scene.py).
DRAWN = {"scale": (SCALE[0] - SCALE[1], SCALE[0] + SCALE[1]), "x": (X[0] - X[1], X[0] + X[1]), "y": (Y[0] - Y[1], Y[0] + Y[1]),
         "yaw_degrees": (-60, 60), "pitch_degrees": (-30, 30), "roll_degrees": (-30, 30), "jaw_degrees": (0, 22),
         "neck_share": (0.2, 1), "light_azimuth": (-80, 80), "light_elevation": (-10, 55), "light_intensity": (0.25, 0.75),
         "light_ambient": (0.45, 0.75), "smile": (0, 1)}


@pytest.mark.parametrize("name", runs.RUNS)
def test_no_head_is_asked_unlike_those_that_were_drawn(name):
    """They were once a quarter smaller than what training saw, and the weights got the blame."""
    for values in (*runs.RUNS[name].heads.values(), world.right_head(), world.MIDDLE):
        full = full_values(values)
        assert {key: full[key] for key in values if not DRAWN[key][0] <= full[key] <= DRAWN[key][1]} == {}
        assert DRAWN["scale"][0] <= full["scale"], "what a list leaves out counts too"


@pytest.mark.parametrize(("yaw", "roll", "x"), [(-35.0, 15.0, 0.08), (30.0, -12.0, -0.08)])
def test_the_eye_reads_a_turn_a_tilt_and_a_place(reader, yaw, roll, x):
    asked = case({"yaw_degrees": yaw, "roll_degrees": roll, "x": x, "scale": 1.0})
    got = reader.read(asked.picture)
    wanted = eye.asked(asked.head)
    assert wanted[0] == pytest.approx(yaw, abs=0.1)
    assert got.yaw == pytest.approx(yaw, abs=6)                  # four of its median errors on drawn heads
    assert got.roll == pytest.approx(roll, abs=4)
    assert (got.x, got.y) == pytest.approx(wanted[3:5], abs=0.04)
    assert got.size == pytest.approx(wanted[5], rel=0.25)        # before its bias is taken off
    flipped = reader.read(asked.picture.flip(-1))
    assert flipped.yaw == pytest.approx(-got.yaw, abs=6)
    assert reader.read(torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))) is None


def test_a_bias_is_what_is_taken_off():
    one = eye.Reading(10.0, -6.0, 1.0, 0.5, 0.49, 1.1, 0.1, 0.5)
    rows = [(one, (9.0, -2.0, 0.0, 0.5, 0.5, 1.0))] * 3
    assert eye.bias_of(rows).off(one) == eye.Reading(9.0, -2.0, 0.0, 0.5, 0.5, 1.0, 0.1, 0.5)


def test_a_mouth_that_opens_and_one_that_widens_are_read(reader):
    jaws = [reader.read(case({"jaw_degrees": angle}).picture) for angle in (0.0, 20.0)]
    smiles = [reader.read(case({"smile": share}).picture) for share in (0.0, 1.0)]
    assert jaws[1].opening > jaws[0].opening + 0.1
    assert smiles[1].width > smiles[0].width + 0.02


def test_the_light_s_side_is_read_and_not_guessed():
    for azimuth in (-70.0, 70.0):
        one = case({**LIT, "light_azimuth": azimuth, "yaw_degrees": 20.0})
        assert colours.brighter_right(one.picture, one.regions) * azimuth > 0
        assert figures.light([one]) == {"light": (1.0, 1)}
        turned_over = replace(one, values={**one.values, "light_azimuth": -azimuth})
        assert figures.light([turned_over]) == {"light": (0.0, 1)}
    assert figures.light([case({**LIT, "light_azimuth": 10.0})])["light"] is figures.NOTHING    # one from the front has no side


def test_a_caption_s_colours_are_read_where_they_are():
    one = world.look(1)
    other = next(number for number in range(2, 20) if not {world.look(number).shirt, world.look(number).ground}
                 & {one.shirt, one.ground})
    right = [case({}, look=look) for look in (1, other)]
    assert figures.caption(right) == {"ground": (1.0, 2), "shirt": (1.0, 2)}
    assert figures.caption([replace(right[0], picture=right[1].picture)]) == {"ground": (0.0, 1), "shirt": (0.0, 1)}


def test_a_person_is_told_by_the_skin_and_a_swap_is_seen():
    right = [case({}, person) for person in (10, 20)]
    assert len(figures.pairs(right)) == 2
    assert figures.person(right) == {"person": (1.0, 2)}
    swapped = [replace(one, picture=other.picture) for one, other in zip(right, right[1:] + right[:1], strict=True)]
    assert figures.person(swapped) == {"person": (0.0, 2)}
    assert len(figures.pairs([case({}, person, head=head) for person, head in ((3, "a"), (10, "b"))])) == 0


@pytest.mark.thorough
def test_two_people_are_each_who_and_where_they_should_be():
    def both(number, yaw, left, right, turned=20.0):
        """Of people 10 and 20: who is drawn at the left and at the right, and how far the right one is turned."""
        for place, (asked, drawn, degrees) in enumerate(((10, left, yaw), (20, right, 20.0))):
            one = case({"yaw_degrees": degrees}, asked, picture=case({"yaw_degrees": degrees}, drawn).picture)
            found = perfect_reading(one.head, yaw=degrees if place == 0 else turned)
            yield replace(one, record=replace(one.record, id=number), reading=found, place=place, beside=((20, 10)[place],))
    right = [one for number, yaw in enumerate((-30.0, 0.0, 30.0)) for one in both(number, yaw, 10, 20)]
    found = figures.two(right)
    assert {key: value.number for key, value in found.items()} == pytest.approx(
        {"two_person": 1, "two_yaw": 0, "two_follows": 1, "two_still": 0}, abs=0.05)
    assert {key: value.of for key, value in found.items()} == {"two_person": 6, "two_yaw": 6, "two_follows": 3, "two_still": 3}
    assert figures.two(list(both(0, 0.0, 20, 10)))["two_person"].number == 0.0
    assert figures.two(list(both(0, 0.0, 10, 10)))["two_person"].number == 0.5
    dragged = [one for number, yaw in enumerate((-30.0, 0.0, 30.0)) for one in both(number, yaw, 10, 20, 20 + yaw / 2)]
    assert figures.two(dragged)["two_still"].number == pytest.approx(0.5)


def test_a_person_by_vectors():
    vectors = {0: torch.tensor([0.0, 0.0]), 1: torch.tensor([1.0, 0.0])}
    shown = [case({}, person, picture=vectors[person]) for person in (0, 1)]
    photos = {0: [torch.tensor([0.1, 0.0])], 1: [torch.tensor([0.9, 0.0])]}
    assert figures.person_by(lambda picture: picture, photos, shown) == {"person_dlib": (1.0, 2)}
    assert figures.person_by(lambda picture: picture, {0: photos[1], 1: photos[0]}, shown)["person_dlib"] == (0.0, 2)
    assert figures.person_by(lambda picture: None, photos, shown)["person_dlib"] is figures.NOTHING


def perfect_reading(head, **off):
    yaw, pitch, roll, x, y, size = eye.asked(head)
    return replace(eye.Reading(yaw, pitch, roll, x, y, size, 0.1, 0.5), **off)


def test_errors_of_pose_are_medians_and_unseen_faces_count():
    seen = []
    for yaw in (-30.0, 0.0, 30.0):
        one = case({"yaw_degrees": yaw}, picture=torch.zeros(3, 8, 8))
        seen.append(replace(one, reading=perfect_reading(one.head, yaw=yaw + 2, x=eye.asked(one.head)[3] + 0.03)))
    values = figures.pose([*seen, replace(seen[0], reading=None)])
    assert (values["found"], values["yaw"].of) == ((0.75, 4), 3)
    found = {key: value.number for key, value in values.items()}
    assert found["yaw"] == pytest.approx(2, abs=0.01)
    assert found["offset"] == pytest.approx(0.03, abs=1e-4)
    assert (found["pitch"], found["size"]) == pytest.approx((0, 0), abs=1e-4)
    assert found["yaw_follows"] == pytest.approx(1)
    backwards = [replace(one, reading=replace(one.reading, yaw=-one.reading.yaw)) for one in seen]
    assert figures.pose(backwards)["yaw_follows"].number == pytest.approx(-1, abs=0.02)
    assert figures.error(replace(seen[0], reading=None)) > figures.error(backwards[0]) > figures.error(seen[0])


def test_steps_of_an_expression_count_in_their_order():
    def series(person, values):
        return [case({}, person, head=f"jaw_{number:02}", picture=torch.zeros(3, 8, 8),
                     reading=eye.Reading(0, 0, 0, 0, 0, 1, value, 0)) for number, value in enumerate(values)]
    rising = series(0, (0.1, 0.2, 0.3)) + series(1, (0.3, 0.4, 0.5))
    assert figures.expression(rising[::-1])["jaw"] == (1.0, 4)
    assert figures.expression(series(0, (0.1, 0.3, 0.2)))["jaw"] == (0.5, 2)
    assert figures.expression(rising)["smile"] is figures.NOTHING


def test_masks_are_compared_with_the_face_that_was_asked_for():
    from caphuman_train.miniature.scene import face_seen
    one = case({}, picture=torch.zeros(3, SIDE, SIDE))
    face = face_seen(one.head, world.model())
    assert figures.mask([replace(one, picture=face[None].float().expand(3, -1, -1))]) == {"mask": (1.0, 1)}
    half = face.clone()
    half[:, SIDE // 2:] = False
    assert 0.3 < figures.mask([replace(one, picture=half[None].float().expand(3, -1, -1))])["mask"].number < 0.7


# --- lists, plans, drawn twins, the page

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Lists of two pictures each, planned by the bench; no server."""
    place = tmp_path_factory.mktemp("judged")
    told = dict.fromkeys(TOLD, "") | {"seed": "0", "side": str(SIDE), "style": "ink"}
    save_packed(place / "miniature.safetensors", Packed(*[{"x": torch.zeros(1)}] * len(PARTS), told=told), {})
    runs.write_lists(place, place / "miniature.safetensors", {"steps": 2}, few=True)
    return place


@pytest.mark.parametrize("name", runs.RUNS)
def test_every_list_is_one_that_the_bench_plans(folder, name):
    runs.plan_run(folder, name)
    plan = load_plan(folder / name)
    assert len(plan) == 2
    assert bool(plan.slots["head"]) == (name != "without")
    assert plan.same_noise == (name == "expression")
    sampler = next(entry["inputs"] for entry in plan.workflow.values() if entry["class_type"] == "KSampler")
    assert sampler["steps"] == 2
    links = {value[0] for entry in plan.workflow.values() for value in entry["inputs"].values() if isinstance(value, list)}
    assert links <= set(plan.workflow)
    text = (folder / "commands.sh").read_text(encoding="utf-8")
    assert f"caphuman_bench plan {folder}/{name} " in text
    assert f"caphuman_bench run {folder}/{name} --server" in text


def test_the_runs_differ_by_what_they_say(folder):
    graphs = {name: json.loads((folder / "lists" / name / "graph.json").read_text(encoding="utf-8")) for name in runs.RUNS}

    def applied(name):
        return next(entry["inputs"] for entry in graphs[name].values() if entry["class_type"] == "CapHumanApplyCapFace")
    for name, changed in (("tau", "id_dropout_tau"), ("head_0", "head_strength"), ("identity_0", "identity_strength")):
        assert {key for key, value in applied(name).items() if value != applied("plain")[key]} == {changed}
    kinds = {name: {entry["class_type"] for entry in graph.values()} for name, graph in graphs.items()}
    assert "CapHumanFitHeadLandmarks" in kinds["control"]
    assert "CapHumanFitHeadLandmarks" not in kinds["person"]
    assert "MaskToImage" in kinds["mask"]
    two = graphs["two"]
    sampler = next(entry["inputs"] for entry in two.values() if entry["class_type"] == "KSampler")
    right = two[sampler["positive"][0]]
    left = two[right["inputs"]["positive"][0]]
    assert {entry["class_type"] for entry in (left, right)} == {"CapHumanApplyCapFace"}
    for apply, index, x in ((left, 0, -0.5), (right, 1, 0.5)):
        face = two[two[apply["inputs"]["identity"][0]]["inputs"]["faces"][0]]["inputs"]
        edit = two[two[apply["inputs"]["hint"][0]]["inputs"]["head"][0]]["inputs"]
        assert (face["index"], edit["x"]) == (index, x)
    assert "CapHumanApplyCapFace" not in kinds["without"]
    template = json.loads((ROOT / "workflows" / "api" / "head_control_enhancement.json").read_text(encoding="utf-8"))
    (shipped,) = [entry for entry in template.values() if entry["class_type"] == "ControlNetApplyAdvanced"]
    assert shipped["inputs"]["strength"] == runs.HOLD
    for name, strength, heard in (("points", 0.5, 1.0), ("points_alone", 1.0, 0.0)):
        graph = graphs[name]
        (hold,) = [entry for entry in graph.values() if entry["class_type"] == "ControlNetApplyAdvanced"]
        sampler = next(entry["inputs"] for entry in graph.values() if entry["class_type"] == "KSampler")
        assert all(graph[sampler[side][0]] is hold for side in ("positive", "negative"))
        assert graph[hold["inputs"]["positive"][0]]["class_type"] == "CapHumanApplyCapFace"
        assert graph[hold["inputs"]["image"][0]]["class_type"] == "CapHumanRenderHead"
        assert hold["inputs"]["image"][1] == shipped["inputs"]["image"][1]
        assert (hold["inputs"]["strength"], applied(name)["head_strength"]) == (strength, heard)


def test_pictures_of_two_are_cut_and_read_apart(folder):
    runs.plan_run(folder, "two")
    runs.draw_run(folder / "two", folder / "drawn" / "two", "two", SIDE)
    found = cases.cases(folder / "drawn" / "two", "two", eye.Eye(), faces=False)
    assert [(one.person, one.beside, one.place) for one in found[:2]] == [(0, (1,), 0), (1, (0,), 1)]
    assert [float(one.values["yaw_degrees"]) for one in found] == [-36, 20, -12, 20]
    assert all(torch.allclose(one.picture, one.drawn, atol=1 / 250) for one in found)
    from PIL import Image
    photo = Image.open(folder / "lists" / "pairs-1" / "p000" / "0.png")
    assert photo.size == (2 * SIDE, SIDE)


def test_the_page_tells_ceilings_and_says_what_it_is(folder, monkeypatch):
    said = []
    monkeypatch.setattr(report, "RUNS", {name: runs.RUNS[name] for name in ("prompt", "mask", "without")})
    judged = report.judge(folder, said.append, sampled=False)
    assert {key: value.number for key, value in judged.drawn.items()} == {"ground": 1.0, "shirt": 1.0, "mask": 1.0}
    assert judged.sampled == {}
    # as if a server had made the drawn pictures
    with Store.open(folder / "prompt") as store:
        store.finish([(record.id, f"../drawn/prompt/{record.file}", 3.0)
                      for record in Store.open(folder / "drawn" / "prompt", read_only=True).records("done")])
    monkeypatch.setattr(report, "RUNS", {"prompt": runs.RUNS["prompt"]})
    monkeypatch.setattr(report, "calibrated", lambda name, side: eye.Bias(pitch=-4.2))
    judged = report.judge(folder, said.append)
    report.write(judged, folder, folder / "docs", said.append)
    page = (folder / "docs" / "MINIATURE.md").read_text(encoding="utf-8")
    assert "trained on drawn heads only" in page
    assert "| background | share of pictures" in page
    assert f"at least 0.8 | 1 **met** | {judged.sampled['ground'].of} | 1 | - |" in page
    assert judged.sampled["ground"].of == len(judged.pictures["prompt"])
    assert "pitch -4.2" in page
    assert "(miniature/prompt.jpg)" in page
    assert (folder / "docs" / "miniature" / "prompt.jpg").stat().st_size > 2000
