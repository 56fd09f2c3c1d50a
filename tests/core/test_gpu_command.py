"""dev.py gpu without a card: which is there, what is left out and why, and that the time is kept, whatever a part does."""
from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.gpu import card, child, parts, report, rows, run
from benchmarks.gpu.rows import LeftOut, Outcome, Row, Setting
from benchmarks.gpu.targets import TARGETS

NOTHING = {"cuda": False, "hip": None, "free": 0, "whole": 0, "xpu": False, "mps": False}
GIB = 2**30


def setting(tmp_path, **changes):
    return Setting(**{"device": "cpu", "size": "full", "maker": "", "free_bytes": 0, "out": tmp_path, "part": "a part", **changes})


def found(tmp_path, *asked, **changes):
    """Outcomes of rows, by name."""
    return {outcome.row: outcome for outcome in rows.asked(asked, setting(tmp_path, **changes))}


def gives(**values):
    return lambda where: values


# --- the card

def test_without_a_card_it_runs_on_the_processor_and_says_so():
    seen = card.judged(NOTHING, "cuda")
    assert (seen.device, seen.maker) == ("cpu", "")
    assert "torch sees no card: rows that need CUDA say so" in seen.said


@pytest.mark.parametrize("maker", ["xpu", "mps"])
def test_a_card_that_cuda_does_not_drive_is_named(maker):
    seen = card.judged({**NOTHING, maker: True}, None)
    assert seen.device == "cpu"
    assert f"drives as {maker.upper()}" in seen.said


def test_an_amd_card_runs_all_but_nvidias_own_rows(tmp_path):
    seen = card.judged({**NOTHING, "cuda": True, "hip": "6.4", "free": 8 * GIB, "whole": 8 * GIB}, None)
    assert (seen.device, seen.maker) == ("cuda", "amd")
    got = found(tmp_path, Row("any", gives(a=1)), Row("card", gives(a=1), needs="cuda"), Row("own", gives(a=1), needs="nvidia"),
                device="cuda", maker=seen.maker, free_bytes=seen.free_bytes)
    assert [got[name].state for name in ("any", "card", "own")] == ["done", "done", "left out"]
    assert got["own"].said == "needs NVIDIA's CUDA, but the card is AMD's"


def test_without_a_card_rows_that_need_one_say_so(tmp_path):
    got = found(tmp_path, Row("card", gives(a=1), needs="cuda"), Row("any", gives(a=1)))
    assert (got["card"].state, got["card"].said) == ("left out", "needs a CUDA card")
    assert got["any"].state == "done"


def test_a_card_that_others_use_is_told(tmp_path):
    seen = card.judged({**NOTHING, "cuda": True, "free": 3 * GIB, "whole": 24 * GIB}, None)
    assert "others hold 21.0 GB of the card's 24.0 GB" in seen.said
    assert not card.judged({**NOTHING, "cuda": True, "free": 24 * GIB, "whole": 24 * GIB}, None).said


def test_what_does_not_fit_into_four_gigabytes_is_left_out(tmp_path):
    four = {"device": "cuda", "maker": "nvidia", "free_bytes": 4 * GIB}
    got = found(tmp_path, Row("large", gives(a=1), gigabytes=6), Row("small", gives(a=1), gigabytes=3), **four)
    assert (got["large"].state, got["small"].state) == ("left out", "done")
    assert got["large"].said == "needs 6 GB of card memory, but 4.0 GB are free"
    assert found(tmp_path, Row("large", gives(a=1), gigabytes=6), **four, size="narrow")["large"].state == "done"


def test_the_processor_is_used_when_asked_for():
    seen = card.judged({**NOTHING, "cuda": True, "free": GIB, "whole": GIB}, "cpu")
    assert seen.device == "cpu"


# --- rows

def test_a_row_that_fails_is_a_line_and_the_next_ones_are_asked(tmp_path):
    def breaks(where):
        raise ValueError("broken\nin two lines")

    def half(where):
        yield "first", {"a": 1}
        raise MemoryError("no room")

    def leaves(where):
        raise LeftOut("pytorch3d is not installed")
    got = found(tmp_path, Row("breaks", breaks), Row("half", half), Row("leaves", leaves), Row("after", gives(b=2)))
    assert {name: outcome.state for name, outcome in got.items()} == {
        "breaks": "failed", "first": "done", "half": "failed", "leaves": "left out", "after": "done"}
    assert got["breaks"].said == "ValueError: broken"
    assert got["leaves"].said == "pytorch3d is not installed"
    assert got["first"].asked == "half"


def test_a_row_for_which_the_time_does_not_suffice_is_named(tmp_path):
    got = found(tmp_path, Row("long", gives(a=1), seconds=100), Row("short", gives(a=1), seconds=1), until=time.time() + 30)
    assert (got["long"].state, got["short"].state) == ("no time", "done")
    assert "about 100 s" in got["long"].said


def test_every_part_has_rows_with_names_of_their_own():
    names = [part.name for part in parts.PARTS]
    assert len(names) == len(set(names))
    for part in parts.PARTS:
        mine = [row.name for row in child.rows_of(part)]
        assert mine
        assert len(mine) == len(set(mine))
        assert all(row.needs in rows.NEEDS for row in child.rows_of(part))


# --- time

def test_time_that_a_part_leaves_over_goes_to_those_after_it():
    three = [parts.Part(str(i), "machine", share) for i, share in enumerate((0.5, 0.25, 0.25))]
    assert parts.deadlines(three, 100.0, 8.0) == [104.0, 106.0, 108.0]


def test_without_time_every_row_is_named_and_nothing_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "in_child", lambda plan: pytest.fail("started"))
    outcomes = run.run(parts.PARTS, setting(tmp_path), 0.1)
    assert {outcome.asked for outcome in outcomes} == {row.name for part in parts.PARTS for row in child.rows_of(part)}
    assert {outcome.state for outcome in outcomes} == {"no time", "left out"}
    assert all("no time was left" in outcome.said for outcome in outcomes if outcome.state == "no time")


HANGS = """
import json, pathlib, sys, time
settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
out = pathlib.Path(settings[0]["out"])
done = {"part": settings[0]["part"], "asked": "the machine", "row": "the machine", "state": "done", "values": {"a": 1}}
with (out / "rows.jsonl").open("a") as file:
    file.write(json.dumps(done) + "\\n")
(out / "begun.json").write_text(json.dumps([settings[0]["part"], "copies, GB/s"]))
END
"""


def child_that(monkeypatch, tmp_path, end):
    script = tmp_path / "slow.py"
    script.write_text(HANGS.replace("END", end))
    monkeypatch.setattr(run, "CHILD", (str(script),))
    monkeypatch.setattr(run, "LEAST_SECONDS", 0.0)


def test_a_part_whose_time_runs_out_in_the_middle_is_ended_and_the_next_one_runs(tmp_path, monkeypatch):
    child_that(monkeypatch, tmp_path, "time.sleep(3600)")
    chosen = [part for part in parts.PARTS if part.group == "machine"]
    outcomes = {outcome.row: outcome for outcome in run.run(chosen, setting(tmp_path / "out"), 3.0)}
    assert outcomes["the machine"].state == "done"
    assert (outcomes["copies, GB/s"].state, outcomes["copies, GB/s"].said) == ("no time", "cut off: the time was up")
    assert outcomes["matmul, TFLOP/s"].said == "not begun: the time was up"
    assert set(outcomes) == {row.name for row in child.rows_of(chosen[0])}
    tables = (tmp_path / "out" / report.TABLES).read_text()
    assert "| the machine | 1 |" in tables
    assert "- copies, GB/s: no time: cut off: the time was up" in tables


def test_a_process_that_dies_takes_only_its_row_along(tmp_path, monkeypatch):
    child_that(monkeypatch, tmp_path, "sys.stdout.write('Killed by the driver\\n'); sys.exit(9)")
    machine = next(part for part in parts.PARTS if part.name == "machine")
    outcomes = {outcome.row: outcome for outcome in run.run([machine], setting(tmp_path / "out"), 60.0)}
    assert outcomes["the machine"].state == "done"
    assert outcomes["copies, GB/s"].state == "failed"
    assert outcomes["copies, GB/s"].said == ("cut off: the process ended with status 9: Killed by the driver "
                                             "(more in machine.log)")


def test_parts_after_one_that_broke_the_process_get_another(tmp_path):
    """On a processor parts share a process."""
    chosen = [part for part in parts.PARTS if part.name in ("machine", "fast: hint", "training")]
    plan = [(part, setting(tmp_path, part=part.name, until=time.time() + 60)) for part in chosen]
    started = []

    def breaks(together):
        started.append([part.name for part, _ in together])
        name = together[min(1, len(together) - 1)][0].name
        child.begin(tmp_path, name, child.rows_of(together[0][0])[0].name)
        return "the process ended with status 1"
    while plan:
        plan = plan[run.after(plan, breaks):]
    assert started == [["machine", "fast: hint", "training"], ["training"]]


# --- the report

def test_results_are_tables_with_what_is_missing_below():
    outcomes = [Outcome("fast", "a", "a", "done", {"ms": 1.23456, "of plain": None}),
                Outcome("fast", "b", "b", "done", {"ms": 2000.4}),
                Outcome("fast", "c", "c", "done", {"equal": True}), Outcome("fast", "d", "d", "failed", said="why | not")]
    assert report.table("fast", outcomes).splitlines() == [
        "## fast", "", "|  | ms | of plain |", "| --- | --- | --- |", "| a | 1.23 |  |", "| b | 2000 |  |", "",
        "|  | equal |", "| --- | --- |", "| c | yes |", "", "- d: failed: why | not"]


def test_targets_are_judged_on_a_card_only(tmp_path):
    target = TARGETS[0]
    outcomes = [Outcome(target.part, target.row, target.row, "done", {target.column: target.most + 0.01})]
    on_card = setting(tmp_path, device="cuda")
    assert f"| {target.name} | 1.25 | 1.26 | no |" in report.targets(outcomes, on_card)
    assert f"| {target.name} | 1.25 |  | not judged: no card |" in report.targets(outcomes, setting(tmp_path))
    assert f"| {target.name} | 1.25 |  | not judged: not measured |" in report.targets([], on_card)
    assert "met" in report.targets(outcomes, on_card)


def test_a_line_is_on_the_disk_at_once_and_reads_back(tmp_path):
    outcome = Outcome("p", "r", "r", "done", {"share": 0.5, "none": None, "name": "ü"}, "", 1.5)
    child.write(tmp_path, outcome)
    assert child.read(tmp_path) == [outcome]
    assert json.loads((tmp_path / child.RESULTS).read_text(encoding="utf-8"))["values"]["name"] == "ü"


def test_targets_name_columns_and_rows_that_exist():
    """Their titles are shared constants; the files that measure them use the same."""
    folder = Path(report.__file__).parent
    for constant in ("WITH_CAPFACE", "OF_PLAIN", "OF_STRAIGHTFORWARD", "BEYOND_WEIGHTS"):
        assert constant in (folder / "fast_sampling.py").read_text(encoding="utf-8")
    assert "hint_row(side, batch)" in (folder / "fast_hint.py").read_text(encoding="utf-8")


def test_without_pytorch3d_its_rows_are_left_out(tmp_path, monkeypatch):
    import importlib.util
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for part in ("fast: hint", "right: faces and heads"):
        mine = [row for row in child.rows_of(next(one for one in parts.PARTS if one.name == part)) if row.name == "pytorch3d"]
        assert len(mine) == 1
        got = found(tmp_path, *mine, size="narrow")["pytorch3d"]
        assert (got.state, got.said) == ("left out", "pytorch3d is not installed")
