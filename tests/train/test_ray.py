"""Ray Train as launcher: a local cluster of several nodes, one of which is lost in the middle."""
from __future__ import annotations

import os
import sys
import threading
import time

import made_world
import pytest

from caphuman_core.check import InputError
from caphuman_train.train import checkpoint, ray_launch
from caphuman_train.train.toml_file import read_settings

STEPS = 16


@pytest.fixture
def cluster(monkeypatch):
    """A head without room for work and three nodes with one processor each; two workers need two of them."""
    from ray.cluster_utils import Cluster
    for name, value in made_world.environment(RAY_memory_monitor_refresh_ms="0").items():
        monkeypatch.setenv(name, value)                     # workers inherit what raylets have
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.nodes = [made.add_node(num_cpus=1) for _ in range(3)]
    yield made
    import ray
    ray.shutdown()
    made.shutdown()


def busy_node(cluster):
    """A node on which a training process runs."""
    from ray.util.state import list_actors
    at_work = {actor.node_id for actor in list_actors(address=cluster.address, filters=[("state", "=", "ALIVE")])
               if "Worker" in (actor.class_name or "")}
    return next((node for node in cluster.nodes if node.node_id in at_work), None)


@pytest.mark.thorough
def test_a_lost_node_costs_the_steps_since_the_last_checkpoint(cluster, drawn_shards, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_launch, "work", made_world.narrow_work)
    path = made_world.write_run(tmp_path, drawn_shards, run__steps=STEPS, checkpoints__every=4, log__every=4,
                                log__held_out_every=100)
    lost = []

    def lose_one():
        while not lost:
            last = checkpoint.latest(tmp_path / "run")
            node = busy_node(cluster) if last is not None and checkpoint.step_of(last) >= 4 else None
            if node is not None:
                lost.append(checkpoint.step_of(last))
                cluster.remove_node(node, allow_graceful=False)
            time.sleep(0.2)
    watcher = threading.Thread(target=lose_one, daemon=True)
    watcher.start()
    outcome = ray_launch.train_on_ray(read_settings(path), cluster.address, workers=2, gpus=0, losses=3)
    assert (outcome.step, outcome.done) == (STEPS, True)
    assert lost
    assert lost[0] < STEPS, "it was lost in the middle"
    began = sorted(int(name.name.split("-")[1]) for name in (tmp_path / "began").iterdir())
    assert began[0] == 0
    assert any(step >= lost[0] for step in began[1:]), "it went on from a checkpoint"


def test_without_ray_its_install_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--ray needs the Python package ray with Ray Train, but got .*pip install .ray\[train\]"):
        ray_launch.train_on_ray(None, "local", 1, 0, 0)


def test_workers_find_this_checkout(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert ray_launch._environment()["PYTHONPATH"] == os.pathsep.join(("/elsewhere", str(made_world.PACK)))
