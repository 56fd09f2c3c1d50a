"""What the head editor asks of the server while a hand moves: heads, meshes, vertices, textures.

POST /caphuman/editor/new_head  {model, width, height}            -> HEAD as JSON
GET  /caphuman/editor/mesh?model=NAME                             -> mesh (editor_wire.mesh_message), cacheable
GET  /caphuman/editor/hair?model=NAME&style=STYLE                 -> cap of hair (editor_wire.hair_message), cacheable
POST /caphuman/editor/texture   {model, texture}                  -> texture (editor_wire.texture_message)
POST /caphuman/editor/amounts   {model, expression}                -> named amounts like it, as JSON
POST /caphuman/editor/correct   {model, ...HEAD, corrections}      -> the corrected HEAD as JSON, and points, its landmarks' places
POST /caphuman/editor/vertices  {model, identity, expression, ...} -> vertices (editor_wire.vertices_message)

Answers follow from the request alone: nothing of one browser is kept for another. A model is named as in
CapHuman Load Head Model, never by a path. Work runs in threads of its own, so that neither the server's event loop nor a
running prompt waits for it; files are read in another one, so that nobody waits for somebody else's model. Refusals are
{"error": one sentence} with 400, 403 (a page of another site asks), 404, 413 or 429.
"""
from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..caphuman_core.head.options import BUILT_IN

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
    """The routes' work: a small thread pool, a thread that reads model files, and the head models used last."""

    def __init__(self) -> None:
        self.allowance = Allowance()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="caphuman-editor")
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="caphuman-editor-files")
        self._waiting: Counter[bool] = Counter()             # requests in work: for the built-in head (True), for files
        self._models: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._reading: dict[tuple[str, str], Future[Any]] = {}
        self._lock = threading.Lock()                        # of the two above, held for a moment only

    async def answer(self, client: str, name: Any, work: Callable[[Any], Any]) -> Any:
        """The result of `work` on the EditorModel of that name, from a thread; Refused where the client asks too much."""
        if not self.allowance.take(client):
            raise Refused(429, "the head editor must ask less often: wait a moment")
        lane = name == BUILT_IN
        if self._waiting[lane] >= MAX_WAITING:
            raise Refused(429, "the head editor's queue is full: wait a moment")
        self._waiting[lane] += 1
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._pool, self.model, name)
            model = await asyncio.wrap_future(found)
            return await loop.run_in_executor(self._pool, work, model)
        finally:
            self._waiting[lane] -= 1

    def model(self, name: Any) -> Future[Any]:
        """The EditorModel of a known name, at once or when its file is read; Refused for any other."""
        from . import host, loaders
        if not isinstance(name, str) or name == host.NO_FILE or name not in loaders.head_model_names():
            raise Refused(404, f"the head model must be one of the loader's choices, but {str(name)[:80]!r} is not there: "
                               "choose another in CapHuman Load Head Model")
        key = (name, "" if name == BUILT_IN else host.file_stamp("flame", name))
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return _at_hand(self._models[key])
            if key not in self._reading:
                pool = self._pool if name == BUILT_IN else self._reader          # the pack's own file is small
                self._reading[key] = pool.submit(self._read, key)
            return self._reading[key]

    def _read(self, key: tuple[str, str]) -> Any:
        """Read a model and keep it among the last ones."""
        from ..caphuman_core.check import InputError
        from ..caphuman_core.head.edit.editor_wire import EditorModel
        from . import loaders
        try:
            model = EditorModel(loaders.load_head_model(key[0]))
            with self._lock:
                self._models[key] = model
                while len(self._models) > MODELS_KEPT:
                    self._models.popitem(last=False)
            return model
        except InputError as error:                          # listed, but gone since or not whole
            raise Refused(404, str(error)) from error
        finally:
            with self._lock:
                self._reading.pop(key, None)


def _at_hand(model: Any) -> Future[Any]:
    """A future that has come."""
    future: Future[Any] = Future()
    future.set_result(model)
    return future


def new_head(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    """A neutral head as JSON."""
    from ..caphuman_core.head.edit.editor_wire import head_json, picture_side
    from ..caphuman_core.head.new import new_head
    size = [picture_side(name, request.get(name)) for name in ("width", "height")]
    return {**head_json(new_head(model.model, *size), request["model"]), "photo": None}


def mesh(model: Any) -> tuple[str, bytes]:
    """A mark of the message, which also changes with the pack's version, and the message: a model's mesh."""
    from ..caphuman_core.head.edit.editor_wire import mesh_message
    return _marked(mesh_message(model.model))


def hair(model: Any, style: str) -> tuple[str, bytes]:
    """The same of a cap of hair."""
    from ..caphuman_core.head.edit.editor_wire import hair_message
    return _marked(hair_message(model.model, style))


def _marked(message: bytes) -> tuple[str, bytes]:
    return hashlib.sha256(message).hexdigest(), message


def texture(model: Any, request: dict[str, Any]) -> bytes:
    """The albedo of a texture code."""
    from ..caphuman_core.head.edit.editor_wire import texture_message
    return texture_message(model.model, request)


def vertices(model: Any, request: dict[str, Any]) -> bytes:
    """The posed vertices of a head and an edit."""
    from ..caphuman_core.head.edit.editor_wire import vertices_message
    return vertices_message(model, request)


def amounts(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Named amounts like a head's own expression."""
    from ..caphuman_core.head.edit.editor_wire import amounts_json
    return amounts_json(model, request)


def correct(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    """A head that follows landmarks which a hand has put elsewhere."""
    from ..caphuman_core.head.edit.editor_wire import corrected_json
    return corrected_json(model.model, request)


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

    def posted(work: Callable[[Any, dict[str, Any]], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            content = await read_json(request)
            result = await editor.answer(request.remote or "", content.get("model"), lambda model: work(model, content))
            if isinstance(result, bytes):
                return web.Response(body=result, content_type="application/octet-stream", headers={"Cache-Control": "no-store"})
            return web.json_response(result, headers={"Cache-Control": "no-store"})
        return _explained(handle)

    def kept(work: Callable[[Any, str], tuple[str, bytes]]) -> Callable[[web.Request], Any]:
        """What the browser may keep, as long as its mark is the same."""
        async def handle(request: web.Request) -> web.Response:
            style = request.query.get("style", "")
            mark, body = await editor.answer(request.remote or "", request.query.get("model", ""), lambda model: work(model, style))
            headers = {"ETag": f'"{mark}"', "Cache-Control": "no-cache"}
            if mark in request.headers.get("If-None-Match", ""):
                return web.Response(status=304, headers=headers)
            return web.Response(body=body, content_type="application/octet-stream", headers=headers)
        return _explained(handle)

    return {("POST", f"{PREFIX}/new_head"): posted(new_head), ("GET", f"{PREFIX}/mesh"): kept(lambda model, _: mesh(model)),
            ("GET", f"{PREFIX}/hair"): kept(hair),
            ("POST", f"{PREFIX}/texture"): posted(texture), ("POST", f"{PREFIX}/vertices"): posted(vertices),
            ("POST", f"{PREFIX}/amounts"): posted(amounts), ("POST", f"{PREFIX}/correct"): posted(correct)}


def _explained(handle: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
    """The handler with refusals as JSON."""
    from aiohttp import web

    from ..caphuman_core.check import InputError
    from .same_site import is_foreign

    async def explained(request: web.Request) -> web.Response:
        try:
            if is_foreign(request.headers, request.remote or "", _allowed_origin()):
                raise Refused(403, "the head editor must be asked by ComfyUI's own page: open it by its address, or over https")
            return await handle(request)
        except Refused as refusal:
            return web.json_response({"error": str(refusal)}, status=refusal.status)
        except InputError as error:
            return web.json_response({"error": str(error)}, status=400)
        except OSError as error:         # a model file that vanished or cannot be read
            log.warning("head editor: %s", error)
            return web.json_response({"error": "the head model's file cannot be read: choose another"}, status=404)
    return explained


def _allowed_origin() -> str:
    """The other site that the user lets in with ComfyUI's --enable-cors-header; "*" for every one, "" for none."""
    from comfy.cli_args import args
    return getattr(args, "enable_cors_header", None) or ""


def register() -> None:
    """Add the routes to the running server, once; without a server (tests) nothing happens."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None or any(getattr(route, "path", "").startswith(PREFIX) for route in server.routes):
        return
    for (method, path), handler in make_handlers(Editor()).items():
        server.routes.route(method, path)(handler)
