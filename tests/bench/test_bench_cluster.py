"""Beyond one server: two real ComfyUIs on loopback, and a Ray cluster of two workers, one killed in the middle."""
from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench_plans import small_plan

from caphuman_bench import cluster, manifest, png
from caphuman_bench.cli import main
from caphuman_bench.cluster import Cluster
from caphuman_bench.ray_session import RaySession
from caphuman_bench.runner import Settings, take_over
from caphuman_bench.store import Store
from caphuman_core.check import InputError

PACK = Path(__file__).resolve().parents[2]
TREE = Path(os.environ.get("COMFYUI_PATH") or PACK / ".host" / "ComfyUI-0.30.0")
COMMAND = f"{sys.executable} {PACK}/tests/bench/simulated.py --port {{port}} --latency 0.1"


@pytest.fixture(scope="module")
def two_servers(tmp_path_factory):
    """Addresses of two ComfyUI servers with this pack."""
    from tools.devkit.server import free_port, serving
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
        started = [serving(TREE, tmp_path_factory.mktemp("server"), free_port(), cpu=True) for _ in range(2)]
        urls = list(pool.map(lambda server: server.__enter__(), started))
        for server in started:
            stack.push(server.__exit__)
        yield urls


def test_two_real_servers_share_a_plan_and_keep_the_hosts_metadata(two_servers, tmp_path, capsys):
    """photos -> plan with a timed probe -> run: LoadImage, Load Head, Render Head, noise by the seed, Save Image."""
    (tmp_path / "prompts.txt").write_text("a photo\na drawing\n")
    album = tmp_path / "album"
    album.mkdir()
    for name in ("man_a_1.jpg", "man_b_1.jpg"):
        (album / name).write_bytes((PACK / "tests" / "photos" / name).read_bytes())
    run = tmp_path / "run"
    graph = Path(__file__).with_name("tiny_graph.json")
    command = ["plan", str(run), "--photos", str(album), "--prompts", str(tmp_path / "prompts.txt"), "--workflow", str(graph),
               "--samples", "2", "--check-faces", "off", "--probe", "4", "--server", two_servers[0]]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "80 images: 2 people x 10 heads x 2 prompts x 2 samples" in said
    assert "like the probed one" in said
    with Store.open(run, read_only=True) as store:
        assert store.counts()["done"] == 4, "the probe's images count"
    assert main(["run", str(run), "--server", two_servers[0], "--server", two_servers[1]]) == 0
    with Store.open(run, read_only=True) as store:
        done = list(store.records("done"))
    assert len(done) == 80
    pictures = {record.id: (run / record.file).read_bytes() for record in done}
    assert len(set(pictures.values())) == 80, "every slot changes the picture"
    for record in done:
        text = png.text(pictures[record.id])
        prompt = json.loads(text["prompt"])
        assert prompt["6"]["inputs"]["seed"] == record.seed == json.loads(text["caphuman_bench"])["seed"]
        assert prompt["8"]["inputs"]["value"].replace(" ", "_") == record.prompt
    assert json.loads(png.text(pictures[0])["prompt"])["8"]["class_type"] == "PrimitiveString"


def test_a_real_server_refuses_a_broken_graph_in_a_sentence(two_servers, tmp_path, capsys):
    album = tmp_path / "album"
    album.mkdir()
    (album / "man.jpg").write_bytes((PACK / "tests" / "photos" / "man_b_1.jpg").read_bytes())
    graph = json.loads(Path(__file__).with_name("tiny_graph.json").read_text())
    graph["4"]["inputs"]["width"] = -5
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    run = tmp_path / "run"
    assert main(["plan", str(run), "--photos", str(album), "--workflow", str(tmp_path / "graph.json"), "--check-faces", "off"]) == 0
    assert main(["run", str(run), "--server", two_servers[0]]) == 1
    said = capsys.readouterr().err
    assert "workflow must be valid on" in said
    assert "CapHumanRenderHead (node 4)" in said


@pytest.fixture(scope="module")
def ray_session():
    """One Ray session for both ways; a Cluster that finds none begins its own in the same way."""
    with RaySession("local"):
        yield


@pytest.mark.thorough
@pytest.mark.parametrize("shared", ["auto", "no"])
@pytest.mark.usefixtures("ray_session")
def test_a_ray_worker_killed_in_the_middle_is_replaced_and_its_images_made(tmp_path, monkeypatch, shared):
    """Two actors, each with a server it started. Without a shared folder everything goes through Ray's object store."""
    monkeypatch.chdir(PACK)                                 # the workers' servers are started from here
    plan = small_plan(tmp_path, 2, 2, 5, 3)                 # 60 images
    killed = {}                                             # place of the worker -> its process
    with Store.open(tmp_path) as store, Cluster("local", plan, tmp_path, 2, 1.0, COMMAND, (), shared=shared) as ray:
        def replaced():
            return all(ray.workers[place].seen.get("pid", pid) != pid for place, pid in killed.items())

        def step(_):
            if killed and not replaced():                   # or else the other worker has done it all before the new one is there
                time.sleep(0.5)
            if store.counts()["done"] == 12:                # one of them may still be starting
                begun = {place: worker.seen["pid"] for place, worker in enumerate(ray.workers) if "pid" in worker.seen}
                killed.update([begun.popitem()])
                os.kill(*killed.values(), signal.SIGKILL)
        summary = asyncio.run(ray.run(store, list(store.records("planned")), Settings(waits=(0.2, 2.0)), step))
        assert [worker.seen["shared"] for worker in ray.workers] == [shared == "auto"] * 2
        assert len({worker.seen["url"] for worker in ray.workers}) == 2
        assert replaced()
        assert killed
        assert (summary.done, summary.failed, summary.losses) == (60, 0, 1)
        assert set(summary.busy) == {"worker-0", "worker-1"}
        assert store.counts() == {"planned": 0, "leased": 0, "done": 60, "failed": 0}
    entries = list(manifest.read(tmp_path))
    assert sorted({entry["id"] for entry in entries}) == (list(range(60)) if shared == "auto" else [])
    assert len(list((tmp_path / "images").rglob("*.png"))) == 60
    if shared == "auto":
        _driver_killed(tmp_path, plan)


def _driver_killed(folder, plan):
    """A driver that died before it heard of anything finds it all in the manifests."""
    with Store.create(folder, plan) as store:
        (folder / "manifests" / "worker-9-1.jsonl").write_text('{"plan": "other", "id": 0, "file": "x", "seconds": 1}\n{"cut of')
        assert manifest.merge(store, plan, folder) == 60
        assert take_over(store, plan, folder) == (0, 0)
        assert all(record.seconds is not None for record in store.records("done"))


def test_without_ray_its_install_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--ray needs the Python package ray, but got .*pip install .ray\[default\]"):
        cluster.require_ray()


@pytest.mark.parametrize(("machines", "asked", "given"), [([0, 0], 1, 0), ([1, 4], 2, 2), ([1, 1], 2, None)])
def test_more_cards_than_any_machine_has_are_refused(tmp_path, machines, asked, given):
    """Ray itself would wait for them without a word."""
    ray = Cluster("local", small_plan(tmp_path), tmp_path, 2, asked, COMMAND, ())
    ray.ray = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {"CPU": 8.0, **({"GPU": count} if count else {})}}
                                             for count in machines])
    if given is None:
        with pytest.raises(InputError, match="--gpus must be at most what one machine of the cluster has, but got 2 of 1"):
            ray._affordable_gpus()
    else:
        assert ray._affordable_gpus() == given


def test_ray_needs_to_know_where_servers_come_from(tmp_path):
    plan = small_plan(tmp_path)
    with pytest.raises(InputError, match="neither --comfy nor --server"):
        Cluster("local", plan, tmp_path, 2, 1.0, None, ())
