"""Talking to a ComfyUI server: send a picture, submit a prompt, follow its messages, fetch what it made."""
from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

Prompt = dict[str, dict[str, Any]]
Event = tuple[str, dict[str, Any]]


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
        self.url = url
        self.id = uuid.uuid4().hex

    async def __aenter__(self) -> Client:
        self.session = aiohttp.ClientSession(self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def upload(self, photo: Path, name: str) -> str:
        """Put a picture into the server's input folder; returns the name a Load Image node takes."""
        form = aiohttp.FormData()
        form.add_field("image", photo.read_bytes(), filename=name)
        form.add_field("overwrite", "true")
        async with self.session.post("/upload/image", data=form) as answer:
            answer.raise_for_status()
            return (await answer.json())["name"]

    async def get(self, path: str) -> Any:
        """A JSON answer."""
        async with self.session.get(path) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def run(self, prompt: Prompt, on_event: Callable[[str, dict], None] | None = None) -> Result:
        """Run an API-format prompt to its end; Refused if it is invalid or a node fails."""
        result, start = Result(), time.monotonic()
        async with self.session.ws_connect(f"/ws?clientId={self.id}", max_msg_size=0) as socket:
            prompt_id = await self._submit(prompt)
            await self._follow(socket, prompt_id, result, on_event)
        result.total_seconds = time.monotonic() - start
        await self._collect(prompt_id, result)
        return result

    async def _submit(self, prompt: Prompt) -> str:
        async with self.session.post("/prompt", json={"prompt": prompt, "client_id": self.id}) as answer:
            body = await answer.json()
        if answer.status != 200 or body.get("node_errors"):
            raise Refused(validation_message(body, prompt))
        return body["prompt_id"]

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse[Any], prompt_id: str, result: Result,
                      on_event: Callable[[str, dict], None] | None) -> None:
        started: dict[str, float] = {}
        failure = None
        async for message in socket:
            if message.type != aiohttp.WSMsgType.TEXT:
                if message.type == aiohttp.WSMsgType.BINARY:
                    continue                                    # a preview picture
                break
            event = json.loads(message.data)
            kind, data = event["type"], event.get("data", {})
            if data.get("prompt_id") != prompt_id:
                continue
            result.events.append((kind, data))
            if on_event:
                on_event(kind, data)
            if kind == "progress_state":
                _clock(data["nodes"], started, result.seconds)
            elif kind in ("execution_error", "execution_interrupted"):
                failure = f"{data.get('node_type', 'the prompt')}: {data.get('exception_message', kind).strip()}"
            if kind == "executing" and data.get("node") is None:    # the last one, sent after the history is written
                if failure:
                    raise Refused(failure)
                return
        raise Refused(failure or "the server closed the connection before the prompt was done")

    async def _collect(self, prompt_id: str, result: Result) -> None:
        history = (await self.get(f"/history/{prompt_id}"))[prompt_id]
        for node, output in history["outputs"].items():
            result.files[node] = [entry for entry in output.get("images", []) if isinstance(entry, dict)]
            result.images[node] = []
            for entry in result.files[node]:
                async with self.session.get("/view", params=entry) as answer:
                    answer.raise_for_status()
                    result.images[node].append(await answer.read())


def _clock(nodes: dict[str, Any], started: dict[str, float], seconds: dict[str, float]) -> None:
    now = time.monotonic()
    for node, state in nodes.items():
        started.setdefault(node, now)
        if state["state"] == "finished":
            seconds.setdefault(node, now - started[node])


def validation_message(body: dict[str, Any], prompt: Prompt) -> str:
    """The first thing the server found wrong with a prompt."""
    for node, report in (body.get("node_errors") or {}).items():
        for error in report["errors"]:
            return f"{prompt.get(node, {}).get('class_type', node)}: {error['message']} ({error.get('details', '')})"
    return str((body.get("error") or {}).get("message", body))
