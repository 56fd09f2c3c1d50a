"""Beyond one machine: workers as Ray actors, each with a ComfyUI server of its own.

The queue, the store and the progress bar stay with the driver (runner.py); an actor is a worker like any other. Where it
sees the run folder (one machine, or a shared folder), it writes images there itself and notes each in its manifest
(manifest.py); where it does not, inputs and images travel through Ray's object store. An actor that dies is replaced
and the images it had in hand are made again.
"""
from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caphuman_core.check import InputError, fail

from . import manifest
from .folder import write_whole
from .plan import ImageRecord, Plan, image_file
from .ray_session import RaySession, affordable_gpus, require_ray
from .runner import Runner, Settings, Summary
from .server import ComfyServer, GraphRefused, ImageFailed, ServerLost
from .store import Store
from .worker import Kept, Maker, about_of

START_SECONDS = 600.0           # the longest a worker's server may take to come up
PROOF_FILE = "inputs/.shared"    # an actor that can read it sees the run folder


@dataclass(frozen=True)
class Made:
    """An image that an actor made: `file` in the run folder, or its `content` where the folder is not seen."""

    seconds: float                  # that the server took
    file: str = ""
    content: bytes = b""


@dataclass(frozen=True)
class NotMade:
    """Why an actor made no image. Exceptions do not travel: Ray would wrap them in its own."""

    kind: str                       # the exception's class
    message: str
    started: bool = False           # the server was at it

    def exception(self) -> Exception:
        """To be raised where the image was asked for."""
        if self.kind == ServerLost.__name__:
            return ServerLost(self.message, self.started)
        return {GraphRefused.__name__: GraphRefused, OSError.__name__: OSError}.get(self.kind, ImageFailed)(self.message)


class Actor:
    """Runs on the worker's machine: starts a server or joins one, and makes images on it."""

    def __init__(self, name: str, plan: Plan, folder: str, proof: str, inputs: dict[str, Any], place: str,
                 hang_seconds: float) -> None:
        """place: a server's address, or the command that starts one ("... --port {port}").

        inputs: object references of the run folder's files, for when the folder is not visible here.
        """
        self._name, self._plan, self._folder, self._hang = name, plan, Path(folder), hang_seconds
        self._inputs, self._place = inputs, place
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self.shared = (self._folder / PROOF_FILE).read_text(encoding="utf-8") == proof
            return
        self.shared = False

    async def start(self) -> dict[str, Any]:
        """Bring the server up; says where it is and whether the run folder is seen. RuntimeError if it does not come up."""
        url = self._place if "://" in self._place else await self._launch()
        self._server = ComfyServer(url, self._hang)
        self._maker = Maker(self._plan, self._server, self._read)
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                await self._server.start()
                return {"url": url, "shared": self.shared, "pid": os.getpid(), "host": socket.gethostname(),
                        "about": about_of(self._server.stats)}
            except ServerLost as lost:
                code = self._process.poll() if self._process else None
                if self._process is None or code is not None or asyncio.get_running_loop().time() > deadline:
                    raise RuntimeError(f"{lost}{f'; it ended with status {code}' if code is not None else ''}") from lost
                await asyncio.sleep(0.5)

    async def make(self, record: ImageRecord) -> Made | NotMade:
        """Make one image, and keep it where the run folder is seen."""
        try:
            content, seconds = await self._maker.make(record)
        except Exception as error:
            return NotMade(type(error).__name__, str(error), getattr(error, "started", False))
        if not self.shared:
            return Made(seconds, content=content)
        file = image_file(record)
        try:
            await asyncio.to_thread(write_whole, self._folder / file, content)
            await asyncio.to_thread(manifest.append, self._folder, self._name, self._plan, record.id, file, seconds)
        except OSError as error:
            return NotMade(OSError.__name__, str(error))
        return Made(seconds, file)

    async def stop(self) -> None:
        """Leave nothing running."""
        await self._server.close()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await asyncio.to_thread(self._process.wait)

    def _read(self, path: str) -> bytes:
        if self.shared:
            return (self._folder / path).read_bytes()
        import ray
        return ray.get(self._inputs[path])

    async def _launch(self) -> str:
        """Start the command on a free port; it ends with this process."""
        if self._process is not None and self._process.poll() is None and self._process.stdin is not None:
            self._process.stdin.close()
            await asyncio.to_thread(self._process.wait)
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = [word.replace("{port}", str(port)) for word in shlex.split(self._place)]
        guard = Path(__file__).with_name("guard.py")
        self._process = subprocess.Popen([sys.executable, str(guard), *words], stdin=subprocess.PIPE)    # noqa: S603
        return f"http://127.0.0.1:{port}"


class RayWorker:
    """The driver's end of an actor; makes a new one when the old is gone."""

    def __init__(self, cluster: Cluster, index: int, place: str) -> None:
        self._cluster, self._place, self.name = cluster, place, f"worker-{index}"
        self._actor: Any = None
        self._incarnation = 0
        self.seen: dict[str, Any] = {}              # what the actor's `start` said
        self.about: Mapping[str, str] = {}

    async def start(self) -> None:
        """An actor with a server that answers; ServerLost if there is none to be had now."""
        ray = self._cluster.ray
        if self._actor is None:
            self._incarnation += 1
            self._actor = self._cluster.actor(f"{self.name}-{self._incarnation}", self._place)
        try:
            self.seen = await self._actor.start.remote()
            self.about = {"host": self.seen["host"], **self.seen["about"]}
        except ray.exceptions.RayActorError as error:
            self._actor = None
            raise ServerLost(f"{self.name} died") from error
        except ray.exceptions.RayError as error:
            raise ServerLost(f"{self.name}: {_cause(error)}") from error

    async def make(self, record: ImageRecord) -> Kept:
        """Make one image there; its file is in the run folder when this returns."""
        ray = self._cluster.ray
        if self._actor is None:
            raise ServerLost(f"{self.name} died")
        try:
            made = await self._actor.make.remote(record)
        except ray.exceptions.RayActorError as error:
            self._actor = None
            raise ServerLost(f"{self.name} died", started=True) from error
        except ray.exceptions.RayError as error:
            raise ServerLost(f"{self.name}: {_cause(error)}") from error
        if isinstance(made, NotMade):
            raise made.exception()
        if made.file:
            return made.file, made.seconds
        file = image_file(record)
        await asyncio.to_thread(write_whole, self._cluster.folder / file, made.content)
        return file, made.seconds

    async def close(self) -> None:
        """End the actor and its server."""
        if self._actor is None:
            return
        with contextlib.suppress(Exception):
            await asyncio.wait_for(asyncio.wrap_future(self._actor.stop.remote().future()), 20)
        with contextlib.suppress(Exception):
            self._cluster.ray.kill(self._actor)


class Cluster:
    """A Ray session with workers for one plan. Use as `with Cluster(...) as cluster`."""

    def __init__(self, address: str, plan: Plan, folder: Path, workers: int, gpus: float, command: str | None,
                 servers: Sequence[str], hang_seconds: float = 600.0, shared: str = "auto") -> None:
        """address: "local" starts Ray on this machine, "auto" or host:port joins a cluster. command: starts a server, with
        {port} where its port goes; servers: addresses of running ones, one worker each. gpus: for each started server.
        """
        self.ray = require_ray()
        self.plan, self.folder, self._gpus, self._hang, self._shared = plan, folder.resolve(), gpus, hang_seconds, shared
        self._session = RaySession(address, ("caphuman_bench", "caphuman_core"))
        places = [command] * workers if command else [url if "://" in url else f"http://{url}" for url in servers]
        if not places:
            fail("--ray", "needs to know how a worker gets its server", "neither --comfy nor --server",
                 "add --comfy 'python /path/to/ComfyUI/main.py --port {port}'")
        self._owns_gpu = command is not None
        self.workers = [RayWorker(self, index, place) for index, place in enumerate(places)]

    def __enter__(self) -> Cluster:
        self._proof = uuid.uuid4().hex
        if self._shared != "no":
            write_whole(self.folder / PROOF_FILE, self._proof.encode())
        self._session.__enter__()
        try:
            self._gpus = self._affordable_gpus()
        except InputError:
            self.__exit__()
            raise
        paths = {entry.reference for entry in self.plan.identities} | {
            path for head in self.plan.heads for path in (head.file, head.picture) if path}
        self._inputs = {path: self.ray.put((self.folder / path).read_bytes()) for path in paths} if self._shared != "yes" else {}
        self._class = self.ray.remote(Actor)
        return self

    def _affordable_gpus(self) -> float:
        """Cards for each started server: none where the cluster has none; InputError for more than any machine has."""
        return affordable_gpus(self.ray, self._gpus if self._owns_gpu else 0.0)

    def __exit__(self, *_: object) -> None:
        self._session.__exit__()
        with contextlib.suppress(OSError):
            (self.folder / PROOF_FILE).unlink()

    def actor(self, name: str, place: str) -> Any:
        """A new actor; it waits until the cluster has room for it."""
        needs = {"num_gpus": self._gpus if self._owns_gpu else 0, "num_cpus": 0 if not self._owns_gpu else 1}
        return self._class.options(max_concurrency=8, **needs).remote(
            name, self.plan, str(self.folder), self._proof, self._inputs, place, self._hang)

    async def run(self, store: Store, images: Sequence[ImageRecord], settings: Settings, step: Any) -> Summary:
        """Make the images (runner.Runner)."""
        return await Runner(store, self.workers, settings, step).run(images)


def _cause(error: BaseException) -> str:
    return str(getattr(error, "cause", None) or error).strip().splitlines()[-1][:200]

