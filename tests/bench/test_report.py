"""The report: the right numbers, in one file that needs nothing else, whatever people and prompts are called."""
from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_runs import made_plan, made_run, random_scores
from PIL import Image

from caphuman_bench.plan import HeadEntry, IdentityEntry, PromptEntry
from caphuman_bench.report.data import load
from caphuman_bench.report.grids import PER_PERSON, grids
from caphuman_bench.report.reference import FORMAT, load_columns
from caphuman_bench.report.write import report
from caphuman_bench.store import Store
from caphuman_core.check import InputError

EVIL = "</td><script>alert('x')</script><img src=x onerror=alert(1)>\" onclick=\"y $\\alpha$ {{ 7*7 }} ' &amp;"


class Page(HTMLParser):
    """What a browser makes of a page: tags, links, text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.targets: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.targets += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action", "poster")]

    def handle_data(self, data):
        self.text += data


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def all_images(path: Path, metric: str) -> dict[str, str]:
    return next(row for row in rows(path / "summary.csv") if row["scope"] == "all" and row["metric"] == metric)


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "mine"
    plan = made_plan(12, prompts=12, heads=3, samples=2)
    scores = random_scores(plan)
    return made_run(folder, plan, scores), scores, report(folder).parent


def test_the_numbers_are_right_and_the_same_everywhere(reported):
    _, scores, out = reported
    truth = np.nanmean(scores["identity_dlib"])
    row = all_images(out, "identity_dlib")
    assert float(row["mean"]) == pytest.approx(truth, abs=1e-6)             # float32 scores
    assert float(row["low"]) < truth < float(row["high"])
    assert int(row["missing"]) == int(np.isnan(scores["identity_dlib"]).sum()) > 0
    content = json.loads((out / "report.json").read_text())
    lines = [line for line in content["runs"][0]["lines"] if line["scope"] == "all" and line["metric"] == "identity_dlib"]
    assert lines[0]["mean"] == float(row["mean"])
    assert f"{truth:.3f}" in Page(out / "index.html").text


def test_groups_are_those_of_the_plan(reported):
    _, scores, out = reported
    table = {(row["scope"], row["group"]): row for row in rows(out / "summary.csv") if row["metric"] == "clip_score"}
    heads = np.tile(np.repeat(np.arange(3), 12 * 2), 12)                    # order: person, head, prompt, sample
    mean = scores["clip_score"][heads == 1].mean()
    assert float(table["head", "turned_right"]["mean"]) == pytest.approx(mean, abs=1e-6)
    kinds = np.tile(np.repeat(np.array([0] * 5 + [1] * 6 + [2]), 2), 36)
    assert float(table["kind", "context"]["mean"]) == pytest.approx(scores["clip_score"][kinds == 1].mean(), abs=1e-6)
    assert {scope for scope, _ in table} == {"all", "kind", "head", "prompt", "person"}


def test_every_image_has_its_row(reported):
    folder, scores, out = reported
    table = rows(out / "images.csv")
    assert len(table) == len(load(folder).records)
    assert [row["identity_dlib"] == "" for row in table] == np.isnan(scores["identity_dlib"]).tolist()
    assert float(table[5]["clip_score"]) == pytest.approx(scores["clip_score"][5], rel=1e-4)


def test_the_page_needs_nothing_else(reported):
    page = Page(reported[2] / "index.html")
    assert page.targets
    assert all(target.startswith(("data:image/", "#")) for target in page.targets)
    text = (reported[2] / "index.html").read_text()
    assert not re.search(r"https?:|@import|url\(", text)
    assert not {"script", "iframe", "object", "link", "embed", "form"} & set(page.tags)


def test_links_within_the_page_lead_somewhere(reported):
    text = (reported[2] / "index.html").read_text()
    assert all(f'id="{target[1:]}"' in text for target in Page(reported[2] / "index.html").targets if target.startswith("#"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Everything a stranger may name is hostile."""
    folder = tmp_path_factory.mktemp("run") / "<b>run"
    people = IdentityEntry(EVIL, "inputs/a.jpg", ("inputs/a.jpg",)), IdentityEntry("=1+1", "b", ("b",))
    plan = replace(made_plan(2, samples=2), identities=people, workflow={"1": {"class_type": EVIL}}, notes=(EVIL,),
                   prompts=tuple(PromptEntry(f"{EVIL}{i}", EVIL, EVIL + str(i), (EVIL,)) for i in range(2)),
                   heads=tuple(HeadEntry(f"{EVIL}{i}", "values", {EVIL: EVIL}) for i in range(2)))
    info = {"versions": {"dlib": EVIL}, "missing": {EVIL: EVIL}, "notes": [EVIL], "packages": {EVIL: EVIL}}
    made_run(folder, plan, {"identity_dlib": np.linspace(0.1, 0.9, len(plan))}, len(plan) - 1, info)
    with Store.open(folder) as store:
        store.attempt(len(plan) - 1, EVIL, True)
    reference = folder / "published.json"
    columns = [{"title": EVIL, "source": EVIL, "values": {"identity_dlib": 0.5}}]
    reference.write_text(json.dumps({"format": FORMAT, "columns": columns}))
    return report(folder, None, folder, reference).parent


def test_hostile_names_stay_text(hostile):
    page = Page(hostile / "index.html")
    assert "script" not in page.tags
    assert page.handlers == []
    assert all(target.startswith(("data:image/", "#")) for target in page.targets)
    assert page.text.count(EVIL) > 10
    assert "<b>run (A)" in page.text
    assert "7*7" in page.text                               # a template's braces in a name are not carried out


def test_hostile_names_stay_text_in_drawings(hostile):
    import base64
    for uri in re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", (hostile / "index.html").read_text()):
        drawing = base64.b64decode(uri).decode()
        assert "<script" not in drawing
        assert "<img" not in drawing


def test_spreadsheets_get_no_formulas(hostile):
    assert {row["identity"] for row in rows(hostile / "images.csv")} == {EVIL, "'=1+1"}


def test_a_run_that_is_not_done_says_so(tmp_path):
    plan = made_plan(3, prompts=3, heads=2, samples=1)
    out = report(made_run(tmp_path / "r", plan, random_scores(plan), done=7)).parent
    page = Page(out / "index.html")
    assert "This run is not complete: 7 done, 0 failed, 11 still to do" in " ".join(page.text.split())
    assert int(all_images(out, "clip_score")["images"]) == 7
    assert "narrower than they should be" in page.text      # three people


def test_a_run_without_scores_or_images_is_reported(tmp_path):
    out = report(made_run(tmp_path / "r", made_plan(2, 2, 2, 1), {}, done=0)).parent
    assert "No scores yet" in Page(out / "index.html").text
    assert len(rows(out / "images.csv")) == 8
    assert rows(out / "summary.csv") == []


def test_no_number_of_the_paper_is_invented(reported):
    assert load_columns() == []
    assert "none is shown on hearsay" in " ".join(Page(reported[2] / "index.html").text.split())


def test_published_numbers_are_shown_with_their_source(reported, tmp_path):
    path = tmp_path / "published.json"
    path.write_text(json.dumps({"format": FORMAT, "columns": [
        {"title": "Some paper", "source": "Table 9, row 2", "values": {"identity_dlib": 0.4321}}]}))
    text = Page(report(reported[0], tmp_path / "out", None, path)).text
    assert "0.432" in text
    assert "Table 9, row 2" in text


@pytest.mark.parametrize("column", [
    {"title": "t", "source": " ", "values": {}}, {"title": "t", "source": "s", "values": {"beauty": 1}},
    {"title": "t", "values": {}}, {"title": "t", "source": "s", "values": {"clip_score": "much"}}])
def test_published_numbers_without_source_or_meaning_are_refused(tmp_path, column):
    path = tmp_path / "published.json"
    path.write_text(json.dumps({"format": FORMAT, "columns": [column]}))
    with pytest.raises(InputError, match=r"published\.json"):
        load_columns(path)


def test_best_and_worst_are_the_best_and_worst(tmp_path):
    plan = made_plan(6, prompts=2, heads=2, samples=2)
    values = np.arange(len(plan)) / 100
    values[3] = np.nan
    folder = made_run(tmp_path / "r", plan, {"identity_dlib": values, "head_angle": values})
    (folder / "images").mkdir()
    for number in range(len(plan)):
        Image.new("RGB", (900, 700), (number * 5, 90, 120)).save(folder / "images" / f"{number}.png")
    found = {grid.title: [tile.record.id for tile in grid.tiles] for grid in grids(load(folder))}
    assert found["Best: Identity (dlib)"] == [47, 46, 39, 38, 31, 30]       # at most two of a person; 8 images each
    assert found["Worst: Identity (dlib)"] == [0, 1, 8, 9, 16, 17]
    assert found["Best: Head angle"] == found["Worst: Identity (dlib)"]     # a small error is good
    assert PER_PERSON == 2
    page = report(folder)
    assert page.stat().st_size < 2_000_000                  # thumbnails, not pictures
    assert "cannot be read" in Page(page).text              # the reference photos are not there
