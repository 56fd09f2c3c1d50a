"""A server that answers like ComfyUI and makes small pictures after a fixed time: for rehearsals, tests and benchmarks.

    python tests/bench/simulated.py --port 8288 --latency 0.5

A prompt is "worked on" for `latency` seconds, one after the other. Attributes may be changed while it runs, to be unwell.
"""
from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import struct
import sys
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from caphuman_bench import png
from caphuman_bench.folder import write_whole


class SimulatedServer:
    """Use as `async with SimulatedServer(latency) as server` and talk to `server.url`."""

    def __init__(self, latency: float = 0.05, port: int = 0, metadata: bool = True) -> None:
        self.latency, self.port, self.metadata = latency, port, metadata
        self.refuse: Callable[[dict[str, Any]], str | None] = lambda prompt: None      # a validation error
        self.fail: Callable[[dict[str, Any]], str | None] = lambda prompt: None        # an error while running
        self.errors_500 = 0                     # answers 500 to that many prompts
        self.hanging = False                    # takes prompts and does nothing with them
        self.may_end: Callable[[], bool] = lambda: True        # a prompt is worked on until this holds
        self.received = 0                       # prompts taken
        self.made: Counter[str] = Counter()     # output prefix -> times it was made
        self.uploads: Counter[str] = Counter()
        self.busy_seconds = 0.0
        self.first = self.last = 0.0            # time.monotonic() of the first start and the last end
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self.restart()

    def restart(self) -> None:
        """Forget everything, as a restarted server has."""
        self._pending: list[tuple[str, dict[str, Any]]] = []
        self._running: list[tuple[str, dict[str, Any]]] = []
        self._history: dict[str, Any] = {}
        self._files: dict[str, bytes] = {}
        self._inputs: set[str] = set()
        self._new = asyncio.Event()
        self._closing = [asyncio.ensure_future(socket.close()) for socket in self._sockets.values()]
        self._sockets = {}

    async def __aenter__(self) -> SimulatedServer:
        app = web.Application(client_max_size=1 << 28)
        app.add_routes([
            web.get("/system_stats", self._stats), web.get("/ws", self._socket), web.post("/prompt", self._prompt),
            web.get("/queue", self._queue), web.post("/queue", self._unqueue), web.get("/history/{id}", self._past),
            web.post("/history", self._forget), web.post("/interrupt", self._interrupt), web.get("/view", self._view),
            web.post("/upload/image", self._upload)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        for socket in list(self._sockets.values()):
            await socket.close()
        await self._runner.cleanup()

    @property
    def waiting(self) -> int:
        """Prompts that lie in the queue beside the one being done."""
        return len(self._pending)

    async def _work(self) -> None:
        while True:
            while self.hanging or not self._pending:
                self._new.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._new.wait(), 0.05 if self.hanging else None)
            job = self._pending.pop(0)
            self._running = [job]
            began = time.monotonic()
            self.first = self.first or began
            await self._say(job, "execution_start", {})
            while self._running == [job] and ((left := began + self.latency - time.monotonic()) > 0 or not self.may_end()):
                await asyncio.sleep(min(max(left, 0.005), 0.05))
            if self._running != [job]:
                continue                        # restarted or interrupted meanwhile
            self._running = []
            self.last = time.monotonic()
            self.busy_seconds += self.last - began
            await self._end(job, began)

    async def _end(self, job: tuple[str, dict[str, Any]], began: float) -> None:
        number, body = job
        error = self.fail(body["prompt"])
        times = {"prompt_id": number, "timestamp": int(began * 1000)}
        messages: list[Any] = [["execution_start", times]]
        outputs = {}
        if error:
            messages.append(["execution_error", {"prompt_id": number, "node_type": "KSampler", "exception_message": error}])
        else:
            messages.append(["execution_success", {**times, "timestamp": int(self.last * 1000)}])
            outputs = self._pictures(body)
        self._history[number] = {"outputs": outputs, "status": {"status_str": "error" if error else "success",
                                                                "messages": messages}}
        await self._say(job, "executing", {"node": None})

    def _pictures(self, body: dict[str, Any]) -> dict[str, Any]:
        targets = body.get("partial_execution_targets")
        outputs = {}
        for key, node in body["prompt"].items():
            if node["class_type"] == "SaveImage" and (targets is None or key in targets):
                prefix = node["inputs"].get("filename_prefix", "x")
                self.made[prefix] += 1
                name = f"{uuid.uuid4().hex}.png"
                self._files[name] = self._picture(body)
                outputs[key] = {"images": [{"filename": name, "subfolder": "", "type": "output"}]}
        return outputs

    def _picture(self, body: dict[str, Any]) -> bytes:
        text = json.dumps(body["prompt"], sort_keys=True)
        content = picture(zlib.crc32(text.encode()))
        if self.metadata:
            content = png.with_text(content, "prompt", text)
            for key, value in body.get("extra_data", {}).get("extra_pnginfo", {}).items():
                content = png.with_text(content, key, json.dumps(value))
        return content

    async def _say(self, job: tuple[str, dict[str, Any]], kind: str, data: dict[str, Any]) -> None:
        socket = self._sockets.get(job[1].get("client_id", ""))
        if socket is not None and not socket.closed:
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": kind, "data": {**data, "prompt_id": job[0]}})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets[request.query.get("clientId", "")] = socket
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
        return socket

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": "simulated"}, "devices": []})

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.errors_500 > 0:
            self.errors_500 -= 1
            return web.Response(status=500, text="Internal Server Error")
        complaint = self.refuse(body["prompt"])
        if complaint:
            return web.json_response({"error": {"message": complaint}, "node_errors": {}}, status=400)
        number = body.get("prompt_id") or str(uuid.uuid4())
        self._pending.append((number, body))
        self.received += 1
        self._new.set()
        return web.json_response({"prompt_id": number, "number": 0, "node_errors": {}})

    async def _queue(self, _: web.Request) -> web.Response:
        return web.json_response({"queue_running": [[0, number] for number, _ in self._running],
                                  "queue_pending": [[0, number] for number, _ in self._pending]})

    async def _unqueue(self, request: web.Request) -> web.Response:
        gone = (await request.json()).get("delete", [])
        self._pending = [job for job in self._pending if job[0] not in gone]
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        number = (await request.json()).get("prompt_id")
        self._running = [job for job in self._running if job[0] != number]
        return web.Response()

    async def _past(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        return web.json_response({number: self._history[number]} if number in self._history else {})

    async def _forget(self, request: web.Request) -> web.Response:
        for number in (await request.json()).get("delete", []):
            self._history.pop(number, None)
        return web.Response()

    async def _view(self, request: web.Request) -> web.Response:
        content = self._files.pop(request.query["filename"], None)
        return web.Response(body=content, content_type="image/png") if content else web.Response(status=404)

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        name: Any = getattr(form["image"], "filename", "x")
        self.uploads[name] += 1
        self._inputs.add(name)
        return web.json_response({"name": name, "subfolder": "", "type": "input"})


def picture(number: int, side: int = 16) -> bytes:
    """A small RGB picture, another one for each number."""
    colour = bytes((number >> shift) & 255 for shift in (0, 8, 16))
    rows = (b"\0" + colour * side) * side
    parts = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return png.SIGNATURE + b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
                                    for kind, data in parts)


async def serve(port: int, latency: float, log: str | None) -> None:
    """Serve until SIGTERM; `log`, a JSON file, then counts what was made: output prefix -> times."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with SimulatedServer(latency, port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await over.wait()
    if log:
        write_whole(Path(log), json.dumps(server.made).encode())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="simulated.py", description="A server that answers like ComfyUI.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one; the address is printed")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds an image takes")
    parser.add_argument("--log", help="file that counts what was made, written at the end")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, options.latency, options.log))


if __name__ == "__main__":
    main()
