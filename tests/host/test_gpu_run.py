"""dev.py gpu as a whole, on the processor with narrow networks: every row gives something, so that none rots without a card."""
from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks.gpu import child, report
from benchmarks.gpu.parts import PARTS
from tools.devkit.places import ROOT, host_tree

pytestmark = pytest.mark.thorough           # minutes; what it is made of: tests/core/test_gpu_command.py, test_gpu_pretend.py


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run of the command: its outcomes by part and row, its tables, what it said."""
    out = tmp_path_factory.mktemp("gpu")
    env = {**os.environ, "COMFYUI_PATH": str(host_tree()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--out", str(out)], cwd=ROOT, env=env,
                          capture_output=True, text=True, timeout=560, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + (out / report.TABLES).read_text()
    outcomes = child.read(out)
    return SimpleNamespace(outcomes=outcomes, tables=(out / report.TABLES).read_text(encoding="utf-8"), said=done.stdout,
                           values={(one.part, one.row): one.values for one in outcomes if one.state == "done"})


def test_every_row_is_done_or_says_why_it_cannot(run):
    asked = {(part.name, row.name): (part, row) for part in PARTS for row in child.rows_of(part)}
    assert {(one.part, one.asked) for one in run.outcomes} == asked.keys()
    for one in run.outcomes:
        part, row = asked[one.part, one.asked]
        if one.state != "done":
            assert one.state == "left out"
            needs_card = row.needs or part.needs
            assert one.said == "needs a CUDA card" if needs_card else one.said, one


def test_the_tables_hold_every_part_and_judge_nothing_without_a_card(run):
    for part in PARTS:
        assert f"## {part.name}\n" in run.tables
    assert run.tables.count("not judged: no card") == 6
    assert "rows that need a card are left out" in run.said


def test_what_has_to_be_equal_is(run):
    values = run.values
    assert values["fast: sampling", "CapFace"]["seconds"] > 0
    for name in ("sampling, deterministic", "hint, deterministic"):
        assert values["right: ten equal runs", name]["bit-equal"] == values["right: ten equal runs", name]["runs"]
    roomy = "roomy: normal"
    assert values[roomy, "out of memory in the middle"]["error"].startswith("OutOfMemoryError")
    assert values[roomy, "the run after it"]["equal"]
    many = values[roomy, "many runs"]
    assert many["most of the second half, MB"] < many["most of the first half, MB"] * 1.1
    for name in ("FaceNet", "DECA", "BiSeNet, sq256", "geometry", "drawn, crop224"):
        assert values["right: faces and heads", name]["within"], name
    assert values["reuse of residuals", "reuse 1"]["rel rms of the latent"] == 0
    assert values["reuse of residuals", "reuse 2"]["rel rms of the latent"] > 0


def test_work_that_is_counted_says_what_it_should(run):
    """Two people are two CapFaces; the straightforward way does more; half of the steps are half of CapFace's work."""
    ways = {name: run.values["fast: sampling", name]["TFLOP"]
            for name in ("plain", "CapFace", "two people", "straightforward CapFace")}
    one = ways["CapFace"] - ways["plain"]
    assert ways["two people"] - ways["plain"] == pytest.approx(2 * one, rel=1e-6)
    assert ways["straightforward CapFace"] > ways["CapFace"] > ways["plain"]


def test_nothing_goes_to_the_processor_and_back_while_sampling(run):
    """Counted on a pretended card, which also refuses what a real one refuses: tensors of both in one operation."""
    crossed = {row: values for (part, row), values in run.values.items() if part == "fast: transfers"}
    assert list(crossed) == ["Detect Faces", "Encode Identity", "Fit Head (landmarks)", "Render Head", "Apply CapFace",
                             "the first step", "a later step"]
    later = crossed["a later step"]
    assert later["from the card"] == 0
    assert later["to the card, kB"] < 0.1                       # which entry each row has, and how strongly it acts
    assert crossed["the first step"]["from the card"] == 0
    assert crossed["Fit Head (landmarks)"]["from the card"] == crossed["Fit Head (landmarks)"]["to the card"] == 0
    identity = crossed["Encode Identity"]                       # there and back, for each of the two networks
    assert (identity["to the card"], identity["from the card"], identity["a number asked for"]) == (2, 2, 0)
    detect = crossed["Detect Faces"]                            # ten levels of the pyramid, then two networks
    assert detect["a number asked for"] == 10
    assert detect["from the card"] < 20
    assert crossed["Render Head"]["a number asked for"] <= 5
