"""Two runs side by side: differences that are known."""
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from made_runs import VERSIONS, made_plan, made_run, random_scores

from caphuman_bench.plan import HeadEntry
from caphuman_bench.report.compare import differences, differences_in_plan, pair
from caphuman_bench.report.data import load
from caphuman_bench.report.grids import pair_grids
from caphuman_bench.report.write import report

PLAN = made_plan(15, prompts=4, heads=2, samples=2)


def compared(tmp_path, first, second, plans=(PLAN, PLAN), infos=(None, None)):
    runs = [load(made_run(tmp_path / name, plan, scores, info=info))
            for name, plan, scores, info in zip("ab", plans, (first, second), infos, strict=True)]
    pairs = pair(*runs)
    return {change.metric.name: change for change in differences(*runs, pairs)}, pairs


def test_a_known_difference_is_found_and_judged_by_its_metric(tmp_path):
    first = random_scores(PLAN)
    second = {**first, "identity_dlib": first["identity_dlib"] + 0.05, "head_angle": first["head_angle"] + 1.0}
    found, pairs = compared(tmp_path, first, second)
    assert len(pairs.first) == len(PLAN)
    change = found["identity_dlib"].change
    # Every image differs by the same: pairing takes away all spread between people. float32 rounds in the seventh digit.
    assert (change.mean, change.low, change.high) == (pytest.approx(0.05, abs=1e-6),) * 3
    assert found["identity_dlib"].verdict == "better"
    assert found["head_angle"].verdict == "worse"
    assert found["clip_score"].verdict == "undecided"
    assert found["clip_score"].change.mean == 0


def test_pairs_tell_what_two_separate_intervals_cannot(tmp_path):
    generator = np.random.default_rng(0)
    person = np.repeat(generator.normal(0, 0.2, 15), len(PLAN) // 15)
    first = {"identity_dlib": 0.5 + person + generator.normal(0, 0.02, len(PLAN))}
    second = {"identity_dlib": 0.52 + person + generator.normal(0, 0.02, len(PLAN))}
    change = compared(tmp_path, first, second)[0]["identity_dlib"]
    assert change.first.high > change.second.low            # overlap: people differ far more than the runs
    assert change.verdict == "better"


def test_noise_alone_is_undecided_most_of_the_time(tmp_path):
    decided = 0
    for trial in range(40):
        generator = np.random.default_rng(trial)
        scores = [{"clip_score": generator.normal(size=len(PLAN))} for _ in range(2)]
        found, _ = compared(tmp_path / str(trial), *scores)
        decided += found["clip_score"].verdict != "undecided"
    assert decided <= 8                                     # 5 to 8 % of 40 are expected; 9 or more: below 1 in 100


def test_only_common_images_count(tmp_path):
    fewer = replace(PLAN, identities=PLAN.identities[3:], prompts=PLAN.prompts[::-1][:3])
    first, second = random_scores(PLAN), random_scores(fewer, 1)
    found, pairs = compared(tmp_path, first, second, (PLAN, fewer))
    assert len(pairs.first) == 12 * 2 * 3 * 2
    assert found["clip_score"].change.people == 12
    a, b = load(tmp_path / "a"), load(tmp_path / "b")
    assert all((a.records[i].identity, a.records[i].prompt) == (b.records[j].identity, b.records[j].prompt)
               for i, j in zip(pairs.first, pairs.second, strict=True))


def test_a_value_missing_in_one_run_leaves_both(tmp_path):
    first = {"clip_score": np.full(len(PLAN), 0.2)}
    second = {"clip_score": np.full(len(PLAN), 0.3)}
    first["clip_score"][:100], second["clip_score"][100:150] = np.nan, np.nan
    change = compared(tmp_path, first, second)[0]["clip_score"]
    assert change.change.images == len(PLAN) - 150
    assert change.first.images == change.second.images == len(PLAN) - 150


def test_different_judges_are_not_compared(tmp_path):
    scores = random_scores(PLAN)
    infos = [{"versions": {**VERSIONS, "dlib": judge}} for judge in ("one", "other")]
    found, _ = compared(tmp_path, scores, scores, infos=infos)
    assert "identity_dlib" not in found
    assert "clip_score" in found
    content = json.loads((report(tmp_path / "a", tmp_path / "out", tmp_path / "b").parent / "report.json").read_text())
    assert any("Identity (dlib)" in note for note in content["comparison"]["notes"])


def test_what_else_differs_is_said(tmp_path):
    other = replace(PLAN, prompts=(replace(PLAN.prompts[0], text="another text"), *PLAN.prompts[1:]),
                    hashes={PLAN.identities[2].reference: "x"})
    compared(tmp_path, random_scores(PLAN), random_scores(other), (PLAN, other))
    page = report(tmp_path / "a", tmp_path / "out", tmp_path / "b").read_text()
    assert "different prompts under the same key: simple_photo" in page
    pairs = pair(load(tmp_path / "a"), load(tmp_path / "b"))
    assert len(pairs.first) == 14 * 2 * 3 * 2               # without that prompt's images and that person's
    assert "different reference photos of: p002" in page


@pytest.mark.parametrize(("change", "left_out"), [
    (lambda plan: {"prompts": plan.prompts[:3]}, {"prompt_accuracy"}),
    (lambda plan: {"identities": tuple(replace(e, photos=(*e.photos, "x.jpg")) for e in plan.identities)}, {"copy_paste_dlib"})])
def test_a_measure_against_other_things_is_another_measure(tmp_path, change, left_out):
    """With three prompts to choose from an image shows the right one more often than with four, whatever it shows."""
    other = replace(PLAN, **change(PLAN))
    first, second = ({**random_scores(plan), "copy_paste_dlib": np.full(len(plan), 0.1)} for plan in (PLAN, other))
    found, _ = compared(tmp_path, first, second, (PLAN, other))
    assert {"identity_dlib", "clip_score", "prompt_accuracy", "copy_paste_dlib"} - found.keys() == left_out


def test_heads_of_one_name_are_compared_by_what_they_are(tmp_path):
    """A head file of one name in two runs may be another head, and widget values may differ."""
    heads = tuple(HeadEntry(key, "file", file=f"inputs/heads/{key}.head.safetensors") for key in ("a", "b"))
    plans = [replace(PLAN, heads=heads, hashes={heads[0].file: "same", heads[1].file: content}) for content in "xy"]
    scores = random_scores(PLAN)
    _, pairs = compared(tmp_path, scores, scores, plans)
    assert len(pairs.first) == len(PLAN) // 2
    assert "different head conditions under the same key: b" in " ".join(differences_in_plan(*(load(tmp_path / n) for n in "ab")))


def test_pictures_of_gains_are_chosen_by_one_judge(tmp_path):
    scores = random_scores(PLAN)
    infos = [{"versions": {**VERSIONS, "dlib": judge}} for judge in ("one", "other")]
    _, pairs = compared(tmp_path, scores, {**scores, "identity_dlib": scores["identity_dlib"] + 1}, infos=infos)
    assert pair_grids(load(tmp_path / "a"), load(tmp_path / "b"), pairs) == []


def test_two_runs_of_one_name_are_told_apart(tmp_path):
    scores = random_scores(PLAN)
    first, second = made_run(tmp_path / "x" / "run", PLAN, scores), made_run(tmp_path / "y" / "run", PLAN, scores)
    page = report(first, tmp_path / "out", second).read_text()
    assert "run (A)" in page
    assert "run (B)" in page
