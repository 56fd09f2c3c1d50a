"""A Ray cluster of several nodes, joined by its address: one node is lost in the middle."""
from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from bench_plans import small_plan

from caphuman_bench.cluster import Cluster
from caphuman_bench.runner import Settings
from caphuman_bench.store import Store

PACK = Path(__file__).resolve().parents[2]
COMMAND = f"env PYTHONPATH='{PACK}' {sys.executable} {PACK}/tests/bench/simulated.py --port {{port}} --latency 0.15"


@pytest.fixture
def ray_cluster():
    """Three nodes, each with a raylet and one processor of its own."""
    from ray.cluster_utils import Cluster as RayCluster
    cluster = RayCluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.extra = cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.mark.thorough
def test_a_lost_machine_costs_what_it_had_in_hand(ray_cluster, tmp_path):
    plan = small_plan(tmp_path, 2, 2, 10, 4)                # 160 images
    lost = []
    with Store.open(tmp_path) as store, Cluster(ray_cluster.address, plan, tmp_path, 3, 1.0, COMMAND, ()) as workers:
        def step(_):
            if not lost and all(worker.seen for worker in workers.workers):      # one on each node
                lost.append(store.counts()["done"])
                ray_cluster.remove_node(ray_cluster.extra, allow_graceful=False)
        summary = asyncio.run(workers.run(store, list(store.records("planned")), Settings(waits=(0.2, 2.0)), step))
        counts = store.counts()
    assert lost
    assert lost[0] < 160
    assert (summary.done, summary.failed) == (160, 0)
    assert summary.losses >= 1
    assert counts == {"planned": 0, "leased": 0, "done": 160, "failed": 0}
    assert len(list((tmp_path / "images").rglob("*.png"))) == 160
