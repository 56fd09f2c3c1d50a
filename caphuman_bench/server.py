"""A ComfyUI server as seen from outside: put a file there, have a prompt done, fetch what it made.

Several prompts may be under way at once; each is followed over one websocket, and asked after when that falls silent:
lost messages, broken connections and restarted servers are noticed.
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from caphuman_core.check import InputError

ASK_SECONDS = 5.0               # silence after which a prompt is asked after
ANSWER_SECONDS = 60.0           # the longest that any answer may take
BACKOFF_SECONDS = (0.2, 5.0)    # between attempts to open the websocket: first, longest
Taken = TypeVar("Taken")
Listener = Callable[[str, dict[str, Any]], None]                # the kind and the data of a message about a prompt


class GraphRefused(InputError):
    """The server will not run this graph at all: asking again is no use."""


class ImageFailed(Exception):
    """This prompt failed on a healthy server."""


class ServerLost(Exception):
    """The server is gone, hangs or forgot the prompt. `started`: this prompt was being done then."""

    def __init__(self, message: str, started: bool = False) -> None:
        super().__init__(message)
        self.started = started


class NoAnswerInTime(ServerLost):
    """The server took a question and has not answered it yet: it may be reading a model."""


@dataclass
class _Flight:
    """A prompt under way."""

    started: float | None = None
    sign: float = field(default_factory=time.monotonic)     # when it was last heard of
    over: bool = False
    behind: list[str] = field(default_factory=list)         # what the server worked on when this prompt waited
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    listener: Listener | None = None


class ComfyServer:
    """One server. `start` before use, `close` after; `run` may be called many times at once."""

    def __init__(self, url: str, hang_seconds: float = 600.0) -> None:
        self.url = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
        self.hang_seconds = hang_seconds
        self._id = uuid.uuid4().hex
        self._flights: dict[str, _Flight] = {}
        self._uploaded: dict[str, asyncio.Task[str]] = {}
        self.stats: Any = {}                                        # what it said of itself
        self._session: aiohttp.ClientSession | None = None
        self._reader: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()                           # the websocket is open

    async def start(self) -> None:
        """Check that the server answers, and listen to it; ServerLost if it does not."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        self.stats = await self._json("GET", "/system_stats")
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Take our prompts out of its queue and hang up."""
        if self._session is None:
            return
        for number in list(self._flights):
            await self._cancel(number)
        if self._reader:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._session.close()
        self._session = self._reader = None

    def forget_uploads(self) -> None:
        """Upload files again when they are next needed: the server may have lost them."""
        self._uploaded.clear()

    async def upload(self, name: str, content: bytes) -> str:
        """Put a file into the server's input folder, once; returns what the server calls it."""
        if name not in self._uploaded or (self._uploaded[name].done() and not _good(self._uploaded[name])):
            self._uploaded[name] = asyncio.create_task(self._upload(name, content))
        return await asyncio.shield(self._uploaded[name])

    async def _upload(self, name: str, content: bytes) -> str:
        form = aiohttp.FormData()
        form.add_field("image", content, filename=name)
        form.add_field("overwrite", "true")
        answer = await self._json("POST", "/upload/image", data=form)
        stored = answer.get("name")
        if not stored or not isinstance(stored, str):
            raise ServerLost(f"{self.url} did not say where it put an uploaded file")
        return f"{answer['subfolder']}/{stored}" if answer.get("subfolder") else stored

    async def run(self, prompt: dict[str, Any], extra: dict[str, Any], output: str | None) -> tuple[bytes, float]:
        """The picture of a prompt, as the server encoded it, and the seconds the server worked on it.

        extra: put into the picture's metadata. output: the node to run and take, or None for whichever gives a picture.
        Raises GraphRefused, ImageFailed or ServerLost.
        """
        return await self.follow(prompt, lambda history: self._picture(history, output), extra, output)

    async def follow(self, prompt: dict[str, Any], take: Callable[[dict[str, Any]], Awaitable[Taken]],
                     extra: dict[str, Any] | None = None, output: str | None = None,
                     listener: Listener | None = None) -> tuple[Taken, float]:
        """What `take` makes of a prompt's history entry, once it is over, and the seconds the server worked on it.

        listener: told every message about the prompt as it comes. The rest as in `run`.
        """
        number = str(uuid.uuid4())
        body = {"prompt": prompt, "client_id": self._id, "prompt_id": number, "extra_data": {"extra_pnginfo": extra or {}}}
        if output is not None:
            body["partial_execution_targets"] = [output]
        if listener is not None:                            # who wants every message must not miss the first
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._listening.wait(), ANSWER_SECONDS)
        flight = self._flights[number] = _Flight(listener=listener)
        try:
            answer = await self._json("POST", "/prompt", json=body, refusable=prompt)
            if (chosen := answer["prompt_id"].strip()) != number:        # older hosts choose it themselves
                self._flights[chosen] = self._flights.pop(number)
                number = chosen
            history = await self._landed(number, flight)
            if listener is not None and not flight.over:        # asked after before its last messages were heard
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(flight.wake.wait(), ASK_SECONDS)
            return await take(history), _seconds(history, flight)
        except (asyncio.CancelledError, ServerLost):        # a server that is only slow would else make it all the same
            await self._cancel(number)
            raise
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ServerLost(f"{self.url} gave a strange answer ({_reason(error)})", flight.started is not None) from error
        finally:
            self._flights.pop(number, None)

    async def _landed(self, number: str, flight: _Flight) -> dict[str, Any]:
        """The history entry of a prompt, once it is over."""
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(flight.wake.wait(), min(ASK_SECONDS, self.hang_seconds / 2))
            flight.wake.clear()
            over = flight.over                              # before asking: it may end while an older answer is on its way
            try:
                history = (await self._json("GET", f"/history/{number}")).get(number)
                if history is None and not over:
                    await self._ask_queue(number, flight)
            except ServerLost as lost:
                if isinstance(lost, NoAnswerInTime) and time.monotonic() - flight.sign <= self.hang_seconds:
                    continue
                raise ServerLost(str(lost), flight.started is not None) from lost
            if history is not None:
                self._forget(number)
                return history
            if over:
                raise ServerLost(f"{self.url} has no record of a prompt that it finished", True)

    async def _ask_queue(self, number: str, flight: _Flight) -> None:
        queue = await self._json("GET", "/queue")
        running = [entry[1] for entry in queue["queue_running"]]
        waits = any(entry[1] == number for entry in queue["queue_pending"])
        if waits and running != flight.behind:
            flight.behind, flight.sign = running, time.monotonic()      # the queue moves
        if waits or number in running:
            flight.sign = max(flight.sign, *(self._flights[one].sign for one in running if one in self._flights), 0.0)
            flight.started = flight.started or (None if waits else flight.sign)
            silence = time.monotonic() - flight.sign
            if silence > self.hang_seconds:
                raise ServerLost(f"{self.url} gave no sign of progress for {silence:.0f} s", not waits)
        elif (await self._json("GET", f"/history/{number}")).get(number) is None and not flight.over:
            raise ServerLost(f"{self.url} forgot a prompt, as after a restart", flight.started is not None)
        else:
            flight.wake.set()                               # it ended between the two questions

    async def _picture(self, history: dict[str, Any], output: str | None) -> bytes:
        """The one picture among a prompt's outputs."""
        found = {node: entries for node, entries in pictures_of(history).items() if entries and output in (None, node)}
        kept = {node: entries for node, entries in found.items() if entries[0].get("type") == "output"} or found
        pictures = [entry for entries in kept.values() for entry in entries]
        if len(pictures) != 1:
            where = f"node {', '.join(kept)}" if kept else "no node"
            raise GraphRefused(f"workflow must give one picture per prompt, but got {len(pictures)} from {where}: mark the node "
                               "with the slot 'image' and make one picture at a time.")
        return await self.fetch(pictures[0])

    async def fetch(self, entry: dict[str, str]) -> bytes:
        """The picture that an entry of a prompt's outputs names, as the server encoded it."""
        if self._session is None:
            raise ServerLost(f"{self.url} is not connected")
        try:
            async with self._session.get(f"{self.url}/view", params=entry) as answer:
                if answer.status == 404:                    # deleted there, while the server's cache says it is made
                    raise ImageFailed(f"{self.url} no longer has the picture's file: restart that server, then --retry-failed")
                if answer.status != 200:
                    raise ServerLost(f"{self.url} answered {answer.status} when asked for a picture")
                return await answer.read()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise ServerLost(f"{self.url} did not send a picture ({_reason(error)})") from error

    def _forget(self, number: str) -> None:
        """Drop a prompt from the server's history, which else grows with every image."""
        async def drop() -> None:
            with contextlib.suppress(ServerLost):
                await self._json("POST", "/history", json={"delete": [number]})
        self._dropping = asyncio.create_task(drop())

    async def _cancel(self, number: str) -> None:
        with contextlib.suppress(ServerLost, asyncio.TimeoutError):
            await asyncio.wait_for(self._json("POST", "/queue", json={"delete": [number]}), 5)
            await asyncio.wait_for(self._json("POST", "/interrupt", json={"prompt_id": number}), 5)

    async def _json(self, method: str, path: str, refusable: dict[str, Any] | None = None, **content: Any) -> Any:
        """An answer as JSON; GraphRefused for a prompt that does not validate, ServerLost for any other trouble."""
        if self._session is None:
            raise ServerLost(f"{self.url} is not connected")
        try:
            async with self._session.request(method, self.url + path, **content) as answer:
                text = await answer.text()
                body = json.loads(text) if text and "json" in answer.content_type else {}
                body = body if isinstance(body, dict) else {}
                if refusable is not None and (answer.status == 400 or body.get("node_errors")):
                    raise GraphRefused(f"workflow must be valid on {self.url}, but got '{_complaint(body, refusable)}': "
                                       "correct the workflow or that server's model files.")
                if answer.status != 200:
                    raise ServerLost(f"{self.url} answered {answer.status} to {method} {path.split('/')[1]}")
                return body
        except (aiohttp.ClientError, OSError, ValueError, asyncio.TimeoutError) as error:
            if isinstance(error, InputError):
                raise
            kind = NoAnswerInTime if isinstance(error, asyncio.TimeoutError) else ServerLost
            raise kind(f"{self.url} did not answer ({_reason(error)})") from error

    async def _listen(self) -> None:
        """Read the websocket for ever, opening it again when it breaks."""
        wait = BACKOFF_SECONDS[0]
        while self._session is not None:
            try:
                async with self._session.ws_connect(f"{self.url}/ws?clientId={self._id}", max_msg_size=0, heartbeat=30) as socket:
                    wait = BACKOFF_SECONDS[0]
                    self._listening.set()
                    async for message in socket:
                        self._hear(message)
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
                pass                                        # asking after the prompts tells what it means
            self._listening.clear()
            for flight in self._flights.values():
                flight.wake.set()
            await asyncio.sleep(wait)
            wait = min(wait * 2, BACKOFF_SECONDS[1])

    def _hear(self, message: Any) -> None:
        now = time.monotonic()
        if message.type == aiohttp.WSMsgType.BINARY:        # a preview of whatever of ours is being done
            for flight in self._flights.values():
                flight.sign = now if flight.started else flight.sign
        if message.type != aiohttp.WSMsgType.TEXT:
            return
        try:
            event = json.loads(message.data)
            data, kind = event.get("data") or {}, event.get("type")
            flight = self._flights.get(data.get("prompt_id", ""))
        except (ValueError, TypeError, AttributeError):     # no message of the host's
            return
        if flight is None:
            return
        flight.sign = now
        if flight.listener is not None:
            flight.listener(str(kind), data)
        if kind != "execution_cached":
            flight.started = flight.started or now
        if kind == "executing" and data.get("node") is None:       # the last one, sent after the history is written
            flight.over = True
            flight.wake.set()


def _good(task: asyncio.Task[str]) -> bool:
    return not task.cancelled() and task.exception() is None


def _reason(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, asyncio.TimeoutError) else str(error)[:120] or type(error).__name__


def pictures_of(history: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Node -> what it put out as pictures, to `fetch`; ImageFailed if the prompt failed."""
    failure = _failure(history)
    if failure:
        raise ImageFailed(failure)
    return {node: [entry for entry in content.get("images", []) if isinstance(entry, dict)]
            for node, content in history.get("outputs", {}).items()}


def _failure(history: dict[str, Any]) -> str | None:
    """What went wrong with a finished prompt; None if nothing did."""
    status = history.get("status") or {}
    for kind, data in status.get("messages", []):
        if kind == "execution_error":
            return f"{data.get('node_type', 'a node')}: {str(data.get('exception_message', 'failed')).strip()}"
        if kind == "execution_interrupted":
            return "it was interrupted on the server"
    return "it failed without a word" if status.get("status_str") == "error" else None


def _seconds(history: dict[str, Any], flight: _Flight) -> float:
    """From start to end by the server's clock where it tells, else by ours."""
    times = {kind: data.get("timestamp") for kind, data in (history.get("status") or {}).get("messages", [])}
    first, last = times.get("execution_start"), times.get("execution_success")
    if first is not None and last is not None:
        return max(0.0, (last - first) / 1000)
    return time.monotonic() - (flight.started or flight.sign)


def _complaint(body: dict[str, Any], prompt: dict[str, Any]) -> str:
    """The first thing the server found wrong with a prompt."""
    for node, report in (body.get("node_errors") or {}).items():
        for error in report.get("errors", []):
            name = prompt.get(node, {}).get("class_type", "?")
            return f"{name} (node {node}): {error.get('message')} {error.get('details', '')}".strip()
    error = body.get("error") or {}
    return str(error.get("message", error) if isinstance(error, dict) else error) or "no reason given"
