"""Ray on this machine, or joined: begun where nobody has, and ended by who began it."""
from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from caphuman_core.check import fail

ROOT = Path(__file__).resolve().parents[1]


def require_ray() -> Any:
    """Ray; InputError with its install line where it is missing."""
    try:
        import ray
    except ImportError as error:
        fail("--ray", "needs the Python package ray", str(error),
             "run `pip install \"ray[default]\"`, on every machine of the cluster")
    return ray


class RaySession:
    """Use as `with RaySession(address) as ray`."""

    def __init__(self, address: str, travelling: tuple[str, ...] = ()) -> None:
        """address: "local" starts Ray on this machine, "auto" or host:port joins a cluster. travelling: packages of this
        repository that are sent to the machines of a cluster; () where they have the repository at the same path.
        """
        self.ray = require_ray()
        self._address, self._temporary = address, ""        # the latter: a short path, for the sockets in it
        self._joined = False
        here: dict[str, Any] = {"env_vars": {"PYTHONPATH": str(ROOT)}}
        self._environment = {"py_modules": [str(ROOT / name) for name in travelling]} if travelling and address != "local" else here

    def __enter__(self) -> Any:
        self._joined = self.ray.is_initialized()            # a session that somebody else began, and ends
        if not self._joined:
            self._begin()
        return self.ray

    def _begin(self) -> None:
        where: dict[str, Any] = {"address": self._address}
        if self._address == "local":
            self._temporary = tempfile.mkdtemp(prefix="ray-", dir=None if os.name == "nt" else "/tmp")      # noqa: S108
            where |= {"include_dashboard": False, "_temp_dir": self._temporary}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.ray.init(runtime_env=self._environment, log_to_driver=False, logging_level="ERROR", **where)

    def __exit__(self, *_: object) -> None:
        if not self._joined:
            self.ray.shutdown()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)


def most_gpus(ray: Any) -> float:
    """Graphics cards of the machine that has most."""
    return max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)


def affordable_gpus(ray: Any, asked: float) -> float:
    """Cards for each worker: none where the cluster has none; InputError for more than any machine has."""
    most = most_gpus(ray)
    if most and asked > most:                               # Ray would wait for such a machine for ever
        fail("--gpus", "must be at most what one machine of the cluster has", f"{asked:g} of {most:g}", "ask for fewer")
    return asked if most else 0.0
