"""What makes images: a worker is one server, here or on another machine."""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from . import jobs
from .folder import write_whole
from .plan import ImageRecord, Plan, image_file
from .server import ComfyServer, GraphRefused, ImageFailed, ServerLost

Kept = tuple[str, float]            # file relative to the run folder, seconds the server took


class Worker(Protocol):
    """Any of its methods may raise ServerLost; `make` also ImageFailed and GraphRefused. about: of its server, for the report."""

    name: str
    about: Mapping[str, str]

    async def start(self) -> None:
        """Be ready to work, or again ready after a loss."""

    async def make(self, record: ImageRecord) -> Kept:
        """Make one image; its file is on the disk when this returns."""
        ...

    async def close(self) -> None:
        """Leave nothing running."""


def about_of(stats: Any) -> dict[str, str]:
    """Versions and devices of a server from its /system_stats; what it does not say is left out."""
    stats = stats if isinstance(stats, dict) else {}
    system = stats.get("system") if isinstance(stats.get("system"), dict) else {}
    devices = stats.get("devices") if isinstance(stats.get("devices"), list) else []
    told = {"ComfyUI": system.get("comfyui_version"), "Python": str(system.get("python_version") or "").split(" ")[0],
            "torch": system.get("pytorch_version"), "system": system.get("os"),
            "device": ", ".join(str(device["name"]) for device in devices if isinstance(device, dict) and device.get("name"))}
    return {name: str(value) for name, value in told.items() if value}


class Maker:
    """Images of a plan on one server. read: the content of a file of the run folder."""

    def __init__(self, plan: Plan, server: ComfyServer, read: Callable[[str], bytes]) -> None:
        self._plan, self._server, self._read = plan, server, read
        self._output = jobs.output_node(plan)

    async def make(self, record: ImageRecord) -> tuple[bytes, float]:
        """An encoded picture with its parameters inside, and the seconds the server took."""
        try:
            content, seconds = await self._run(record)
        except GraphRefused:
            self._server.forget_uploads()           # a server that was set up anew has lost them
            content, seconds = await self._run(record)
        try:
            return jobs.with_parameters(content, self._plan, record), seconds
        except ValueError as error:
            raise ImageFailed(f"the server's picture is not a whole PNG file ({error})") from error

    async def _run(self, record: ImageRecord) -> tuple[bytes, float]:
        names = {}
        for path in jobs.inputs_of(self._plan, record):
            names[path] = await self._server.upload(jobs.upload_name(self._plan, path), self._read(path))
        extra = {jobs.TEXT_KEY: jobs.parameters(self._plan, record)}
        return await self._server.run(jobs.prompt_of(self._plan, record, names), extra, self._output)


class ServerWorker:
    """A server that this process talks to; it writes the images itself."""

    def __init__(self, plan: Plan, folder: Path, url: str, hang_seconds: float = 600.0) -> None:
        self._server = ComfyServer(url, hang_seconds)
        self._maker = Maker(plan, self._server, lambda path: (folder / path).read_bytes())
        self._folder, self.name = folder, self._server.url
        self.about: Mapping[str, str] = {}

    async def start(self) -> None:
        """Connect; ServerLost if the server does not answer."""
        self._server.forget_uploads()
        await self._server.start()
        self.about = about_of(self._server.stats)

    async def make(self, record: ImageRecord) -> Kept:
        """Make one image and keep it."""
        content, seconds = await self._maker.make(record)
        file = image_file(record)
        await asyncio.to_thread(write_whole, self._folder / file, content)
        return file, seconds

    async def close(self) -> None:
        """Take our prompts off the server and hang up."""
        await self._server.close()


__all__ = ["GraphRefused", "ImageFailed", "Kept", "Maker", "ServerLost", "ServerWorker", "Worker"]
