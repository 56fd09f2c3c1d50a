"""What the head editor asks of the server while a hand moves: heads, meshes, vertices, textures.

POST /caphuman/editor/new_head  {model, width, height}            -> HEAD as JSON
GET  /caphuman/editor/mesh?model=NAME                             -> mesh (editor_wire.mesh_message), cacheable
POST /caphuman/editor/texture   {model, texture}                  -> texture (editor_wire.texture_message)
POST /caphuman/editor/amounts   {model, expression}                -> named amounts like it, as JSON
POST /caphuman/editor/vertices  {model, identity, expression, ...} -> vertices (editor_wire.vertices_message)

Answers follow from the request alone: nothing of one browser is kept for another. A model is named as in
CapHuman Load Head Model, never by a path. Work runs in threads of its own, so that neither the server's event loop nor a
running prompt waits for it. Refusals are {"error": one sentence} with 400, 404, 413 or 429.
"""
from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

PREFIX = "/caphuman/editor"
MAX_BODY = 64 * 1024                     # bytes; a head with its longest codes needs about 20 kB
PER_SECOND, BURST = 90.0, 240.0          # requests of one address: a drag asks at most once per frame
MAX_CLIENTS = 1000                       # addresses remembered
MAX_WAITING = 32                         # requests in work at once
MODELS_KEPT = 2
log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that is not answered: HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Allowance:
    """A token bucket per address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> bool:
        """Whether one more request of this address is allowed now."""
        now = self._clock()
        left, then = self._left.pop(client, (BURST, now))
        left = min(BURST, left + (now - then) * PER_SECOND)
        self._left[client] = (max(0.0, left - 1), now)
        while len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return left >= 1


class Editor:
    """The routes' work: a small thread pool, and the head models used last."""

    def __init__(self) -> None:
        self.allowance = Allowance()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="caphuman-editor")
        self._waiting = 0
        self._models: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._loading = threading.Lock()

    async def answer(self, client: str, work: Callable[[], Any]) -> Any:
        """The result of `work` from a thread; Refused where the client asks too much, or asks nonsense."""
        if not self.allowance.take(client):
            raise Refused(429, "the head editor must ask less often: wait a moment")
        if self._waiting >= MAX_WAITING:
            raise Refused(429, "the head editor's queue is full: wait a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def model(self, name: Any) -> Any:
        """The EditorModel of a known name; Refused for any other."""
        from ..caphuman_core.check import InputError
        from ..caphuman_core.head.edit.editor_wire import EditorModel
        from ..caphuman_core.head.options import BUILT_IN
        from . import host, loaders
        with self._loading:
            if not isinstance(name, str) or name == host.NO_FILE or name not in loaders.head_model_names():
                raise Refused(404, f"the head model must be one of the loader's choices, but {str(name)[:80]!r} is not there: "
                                   "choose another in CapHuman Load Head Model")
            key = (name, "" if name == BUILT_IN else host.file_stamp("flame", name))
            if key not in self._models:
                try:
                    self._models[key] = EditorModel(loaders.load_head_model(name))
                except InputError as error:              # listed, but gone since or not whole
                    raise Refused(404, str(error)) from error
            self._models.move_to_end(key)
            while len(self._models) > MODELS_KEPT:
                self._models.popitem(last=False)
            return self._models[key]

    def new_head(self, request: dict[str, Any]) -> dict[str, Any]:
        """A neutral head as JSON."""
        from ..caphuman_core.head.edit.editor_wire import head_json, picture_side
        from ..caphuman_core.head.new import new_head
        model = self.model(request.get("model")).model
        size = [picture_side(name, request.get(name)) for name in ("width", "height")]
        return {**head_json(new_head(model, *size), request["model"]), "photo": None}

    def mesh(self, name: Any) -> tuple[str, bytes]:
        """A mark of the model, and its mesh."""
        from ..caphuman_core.head.edit.editor_wire import mesh_message
        model = self.model(name).model
        return hashlib.sha256(model.fingerprint.encode()).hexdigest(), mesh_message(model)

    def texture(self, request: dict[str, Any]) -> bytes:
        """The albedo of a texture code."""
        from ..caphuman_core.head.edit.editor_wire import texture_message
        return texture_message(self.model(request.get("model")).model, request)

    def amounts(self, request: dict[str, Any]) -> dict[str, Any]:
        """Named amounts like a head's own expression."""
        from ..caphuman_core.head.edit.editor_wire import amounts_json
        return amounts_json(self.model(request.get("model")), request)

    def vertices(self, request: dict[str, Any]) -> bytes:
        """The posed vertices of a head and an edit."""
        from ..caphuman_core.head.edit.editor_wire import vertices_message
        return vertices_message(self.model(request.get("model")), request)


async def read_json(request: web.Request) -> dict[str, Any]:
    """The request's JSON object, read no further than MAX_BODY."""
    body = b""
    async for chunk in request.content.iter_chunked(8192):
        body += chunk
        if len(body) > MAX_BODY:
            raise Refused(413, f"a request of the head editor must be at most {MAX_BODY >> 10} kB")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "a request of the head editor must be JSON") from error
    if not isinstance(content, dict):
        raise Refused(400, "a request of the head editor must be a JSON object")
    return content


def make_handlers(editor: Editor) -> dict[tuple[str, str], Callable[[web.Request], Any]]:
    """(method, path) -> handler."""
    from aiohttp import web

    def posted(work: Callable[[dict[str, Any]], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            content = await read_json(request)
            result = await editor.answer(request.remote or "", lambda: work(content))
            if isinstance(result, bytes):
                return web.Response(body=result, content_type="application/octet-stream", headers={"Cache-Control": "no-store"})
            return web.json_response(result, headers={"Cache-Control": "no-store"})
        return _explained(handle)

    async def mesh(request: web.Request) -> web.Response:
        name = request.query.get("model", "")
        mark, body = await editor.answer(request.remote or "", lambda: editor.mesh(name))
        headers = {"ETag": f'"{mark}"', "Cache-Control": "no-cache"}
        if mark in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)

    return {("POST", f"{PREFIX}/new_head"): posted(editor.new_head), ("GET", f"{PREFIX}/mesh"): _explained(mesh),
            ("POST", f"{PREFIX}/texture"): posted(editor.texture), ("POST", f"{PREFIX}/vertices"): posted(editor.vertices),
            ("POST", f"{PREFIX}/amounts"): posted(editor.amounts)}


def _explained(handle: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
    """The handler with refusals as JSON."""
    from aiohttp import web

    from ..caphuman_core.check import InputError

    async def explained(request: web.Request) -> web.Response:
        try:
            return await handle(request)
        except Refused as refusal:
            return web.json_response({"error": str(refusal)}, status=refusal.status)
        except InputError as error:
            return web.json_response({"error": str(error)}, status=400)
        except OSError as error:         # a model file that vanished or cannot be read
            log.warning("head editor: %s", error)
            return web.json_response({"error": "the head model's file cannot be read: choose another"}, status=404)
    return explained


def register() -> None:
    """Add the routes to the running server, once; without a server (tests) nothing happens."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None or any(getattr(route, "path", "").startswith(PREFIX) for route in server.routes):
        return
    for (method, path), handler in make_handlers(Editor()).items():
        server.routes.route(method, path)(handler)
