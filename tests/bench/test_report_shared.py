"""A report is for others: nothing of this machine's folders, files that any program opens, everything that decided the numbers."""
from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest
from made_runs import VERSIONS, made_plan, made_run, random_scores
from test_report import Page, rows

from caphuman_bench.plan import IdentityEntry
from caphuman_bench.report.reference import FORMAT, load_columns
from caphuman_bench.report.sharing import shareable, without_folders
from caphuman_bench.report.write import report
from caphuman_bench.runner import Runner
from caphuman_bench.store import SERVERS, Store
from caphuman_bench.worker import about_of
from caphuman_core.check import InputError


@pytest.mark.parametrize(("text", "shown"), [
    ("no config.json in /home/bob/clip", "no config.json in clip"),
    ("cannot open '/data/my runs/one/x.png': no space", "cannot open 'x.png': no space"),
    (r"C:\Users\bob\models\a.ckpt is no model", "a.ckpt is no model"),
    (r"\\nas\share\bob\a.ckpt is no model", "a.ckpt is no model"),
    ('File "/opt/comfy/nodes.py", line 3', 'File "nodes.py", line 3'),
    ("~/ComfyUI/models/x.pt", "x.pt"),
    ("http://10.0.0.1:8188/api/prompt answered 500", "http://10.0.0.1:8188/api/prompt answered 500"),
    ("and/or, 1/2/3, models/flame", "and/or, 1/2/3, models/flame")])
def test_paths_are_cut_to_their_last_part(text, shown):
    assert without_folders(text) == shown


def test_what_json_does_not_have_is_null():
    assert shareable({"a": [float("nan"), {"b": float("inf")}, 1.5, None, True]}) == {"a": [None, {"b": None}, 1.5, None, True]}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A run that met every folder of somebody's machine, numbers that are none, and names beyond ASCII."""
    folder = tmp_path_factory.mktemp("secret_place") / "mine"
    plan = made_plan(3, prompts=3, heads=2, samples=1)
    people = (IdentityEntry("Zoë 王", "inputs/z.jpg", ("inputs/z.jpg", "inputs/z2.jpg")), *plan.identities[1:])
    plan = replace(plan, identities=people, notes=("head x: no file /home/secret_user/photo.jpg",),
                   workflow={"1": {"class_type": "Load", "inputs": {"name": "/home/secret_user/a.ckpt", "cfg": float("nan")}}})
    scores = random_scores(plan)
    scores["clip_score"][2] = np.inf
    info = {"versions": VERSIONS, "missing": {"clip": "got none in /home/secret_user/clip"},
            "notes": ["at /home/secret_user/x.png"], "packages": {"torch": "9.8.7"}, "scored_at": "2026-01-02T03:04:05+00:00",
            "machine": "Linux x86_64, cuda:1",
            "unreadable": 2}
    made_run(folder, plan, scores, len(plan) - 1, info)
    with Store.open(folder) as store:
        store.attempt(len(plan) - 1, "[Errno 28] no space: '/home/secret_user/out/x.png'", True)
        store.put_info(SERVERS, {"http://gpu-7:8188": {"ComfyUI": "0.30.0", "device": "cuda:0 A card"}})
    return report(folder).parent


def test_nothing_tells_of_this_machines_folders(out):
    for path in out.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "secret_user" not in text, path.name
        assert "secret_place" not in text, path.name


def test_json_is_json(out):
    def refuse(word):
        pytest.fail(f"{word} is no JSON")
    content = json.loads((out / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert content["runs"][0]["workflow"]["1"]["inputs"] == {"name": "a.ckpt", "cfg": None}
    clip = next(line for line in content["runs"][0]["lines"] if line["scope"] == "all" and line["metric"] == "clip_score")
    assert (clip["images"], clip["missing"]) == (16, 1)     # an infinite score is a missing one


def test_spreadsheets_are_told_the_character_set_where_it_matters(out, tmp_path):
    content = (out / "images.csv").read_bytes()
    assert content.startswith("\ufeffrun,".encode())
    assert "Zoë 王".encode() in content
    plan = made_plan(1, 1, 1, 1)
    ascii_only = report(made_run(tmp_path / "r", plan, random_scores(plan))).parent / "images.csv"
    assert rows(ascii_only)[0]["run"] == "r"


def test_the_settings_say_what_made_and_judged_the_images(out):
    text = " ".join(Page(out / "index.html").text.split())
    for part in ("http://gpu-7:8188: ComfyUI 0.30.0, device cuda:0 A card", "Scored with torch9.8.7", "2026-01-02T03:04:05",
                 "Linux x86_64, cuda:1", "caphuman_bench 0.", "seed 0", "2 images could not be read",
                 "one photo of a person only: 2 of 3 people", "narrower than they should be"):
        assert part in text


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_published_number_is_a_number(tmp_path, value):
    path = tmp_path / "published.json"
    path.write_text(json.dumps({"format": FORMAT, "columns": [{"title": "t", "source": "s", "values": {"clip_score": value}}]}))
    with pytest.raises(InputError, match="with numbers"):
        load_columns(path)


def test_a_run_notes_what_its_servers_are(tmp_path):
    """With a worker that only pretends; what it says of itself is what ComfyUI says in /system_stats."""
    stats = {"system": {"os": "linux", "comfyui_version": "0.30.0", "python_version": "3.11.4 (main, ...)",
                        "pytorch_version": "2.11.0"},
             "devices": [{"name": "cuda:0 A card", "vram_total": 1}]}

    class Pretender:
        name, about = "http://gpu-7:8188", about_of(stats)

        async def start(self):
            pass

        async def make(self, record):
            return f"images/{record.id}.png", 0.1

        async def close(self):
            pass
    plan = made_plan(1, 1, 1, 2)
    with Store.create(tmp_path, plan) as store:
        asyncio.run(Runner(store, [Pretender()]).run(list(store.records("planned"))))
        assert store.info(SERVERS) == {"http://gpu-7:8188": {
            "ComfyUI": "0.30.0", "Python": "3.11.4", "torch": "2.11.0", "system": "linux", "device": "cuda:0 A card"}}


@pytest.mark.parametrize("stats", [{}, [], None, {"system": None, "devices": "x"}, {"devices": [None, {}]}])
def test_a_server_that_says_nothing_useful_is_no_trouble(stats):
    assert about_of(stats) == {}
