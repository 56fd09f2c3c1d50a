"""A prompt with everything that came of it: caphuman_bench's client of a ComfyUI server, and what the demo shows of a run."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caphuman_bench.server import ComfyServer, GraphRefused, ImageFailed, ServerLost, pictures_of

Prompt = dict[str, dict[str, Any]]
Event = tuple[str, dict[str, Any]]
SILENCE_SECONDS = 3600.0        # a processor may be busy with one node for very long


class Refused(Exception):
    """The server would not run the prompt, or a node of it failed. The text is what the user should read."""


@dataclass
class Result:
    """What came of a prompt."""

    events: list[Event] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)         # node id -> time it took
    images: dict[str, list[bytes]] = field(default_factory=dict)    # node id -> encoded pictures
    files: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    total_seconds: float = 0.0


class Client:
    """One client of one server. Use as `async with Client(url) as client`."""

    def __init__(self, url: str) -> None:
        self._server = ComfyServer(url, SILENCE_SECONDS)

    async def __aenter__(self) -> Client:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def upload(self, photo: Path, name: str) -> str:
        """Put a picture into the server's input folder; returns the name a Load Image node takes."""
        return await self._server.upload(name, photo.read_bytes())

    async def run(self, prompt: Prompt, on_event: Callable[[str, dict], None] | None = None) -> Result:
        """Run an API-format prompt to its end; Refused if it is invalid or a node fails."""
        result, started = Result(), {}

        def listen(kind: str, data: dict[str, Any]) -> None:
            result.events.append((kind, data))
            if kind == "progress_state":
                _clock(data["nodes"], started, result.seconds)
            if on_event:
                on_event(kind, data)

        async def collect(history: dict[str, Any]) -> None:
            result.files = pictures_of(history)
            for node, entries in result.files.items():
                result.images[node] = [await self._server.fetch(entry) for entry in entries]
        start = time.monotonic()
        try:
            await self._server.follow(prompt, collect, listener=listen)
        except (GraphRefused, ImageFailed, ServerLost) as failure:
            raise Refused(str(failure)) from failure
        result.total_seconds = time.monotonic() - start
        return result


def _clock(nodes: dict[str, Any], started: dict[str, float], seconds: dict[str, float]) -> None:
    now = time.monotonic()
    for node, state in nodes.items():
        started.setdefault(node, now)
        if state["state"] == "finished":
            seconds.setdefault(node, now - started[node])
