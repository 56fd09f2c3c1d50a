"""prepare on a Ray cluster of several nodes, one of which is lost in the middle: the same shards."""
from __future__ import annotations

import hashlib

import narrow_tools
import numpy as np
import pytest
from PIL import Image

from caphuman_core.check import InputError
from caphuman_train.data.sources import open_source
from caphuman_train.prepare.cluster import RayWorkers
from caphuman_train.prepare.pool import Here
from caphuman_train.prepare.run import prepare
from caphuman_train.prepare.settings import Settings

QUICK = Settings(64, 64, least_face_pixels=8, least_sharpness=0.0, per_shard=3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(30):
        Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((80, 80)).save(root / f"{number:03}.png")
    return root


@pytest.fixture
def ray_cluster(monkeypatch):
    """Two nodes, each with a raylet and one processor of its own; workers that take their time."""
    import ray
    from ray.cluster_utils import Cluster
    ray.cloudpickle.register_pickle_by_value(narrow_tools)
    monkeypatch.setenv("CAPHUMAN_TEST_SLOW", "0.3")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.extra = cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(narrow_tools)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
            if path.suffix == ".tar" or path.name == "manifest.json"}


@pytest.mark.thorough
def test_a_lost_machine_costs_what_it_had_in_hand(ray_cluster, photos, tmp_path, monkeypatch):
    for name in ("plain", "ray"):
        (tmp_path / name).mkdir()
    pool = RayWorkers(QUICK, narrow_tools.load_quick, ray_cluster.address, 2, 1.0)
    done = []

    def bars(phase, total, before, refused):
        def step(_):
            done.append(phase)
            if done.count("shards") == 6:
                ray_cluster.remove_node(ray_cluster.extra, allow_graceful=False)
        return step
    prepare(tmp_path / "ray", open_source(photos), QUICK, pool, {}, bars)
    assert done.count("shards") == 30
    monkeypatch.setenv("CAPHUMAN_TEST_SLOW", "0")
    here = Here(QUICK, narrow_tools.load_quick)
    prepare(tmp_path / "plain", open_source(photos), QUICK, here, {}, lambda *_: lambda refused: None)
    assert digests(tmp_path / "ray") == digests(tmp_path / "plain")


class FakeRay:
    """Ray as far as `_Run` sees it: actors whose every call ends as `ends` says."""

    class exceptions:
        class RayActorError(Exception):
            pass

        class ObjectLostError(Exception):
            pass

        class RayTaskError(Exception):
            pass

    def __init__(self, ends):
        self.ends, self.hired = ends, 0

    def remote(self, _):
        return self

    def options(self, **_):
        class Class:
            @staticmethod
            def remote(*_):
                self.hired += 1

                class Call:
                    def __init__(self, kind):
                        self.kind = kind

                    def remote(self, *_):
                        return object.__new__(type("Ref", (), {"kind": self.kind}))
                return type("Actor", (), {"ready": Call("ready"), "do": Call("do")})
        return Class

    def wait(self, refs, num_returns):
        return refs[:1], refs[1:]

    def get(self, ref):
        outcome = self.ends(ref.kind)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_work_that_kills_every_worker_ends_with_a_sentence():
    from caphuman_train.prepare.cluster import _Run
    from caphuman_train.prepare.work import Task
    ray = FakeRay(lambda kind: None if kind == "ready" else FakeRay.exceptions.RayActorError("out of memory"))
    with pytest.raises(InputError, match=r"3 that died over shard-000007 \(out of memory\): give them more memory"):
        list(_Run(ray, (), 2, 0.0).go(iter([Task("shard", 7, ())])))
    assert ray.hired == 2 + 2, "each dead worker but the last is replaced"


def test_what_a_worker_refuses_is_told_in_its_own_words():
    from caphuman_train.prepare.cluster import _Run
    from caphuman_train.prepare.work import Task
    error = FakeRay.exceptions.RayTaskError("trace")
    error.cause = InputError("prepare needs FaceNet.")
    ray = FakeRay(lambda kind: None if kind == "ready" else error)
    with pytest.raises(InputError, match=r"^prepare needs FaceNet\.$"):
        list(_Run(ray, (), 1, 0.0).go(iter([Task("shard", 0, ())])))


def test_every_task_is_done_once_whatever_the_number_of_workers():
    from caphuman_train.prepare.cluster import _Run
    from caphuman_train.prepare.work import Task
    tasks = [Task("shard", number, ()) for number in range(7)]
    for workers in (1, 3, 9):
        ray = FakeRay(lambda kind: kind)
        assert sorted(task.number for task, _ in _Run(ray, (), workers, 0.0).go(iter(tasks))) == list(range(7))
