"""Host tests: this pack's nodes inside a real ComfyUI, in process and without a server.

COMFYUI_PATH names the host's tree; without it the one that dev.py keeps under .host/ is used.
"""
from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import sys
import uuid
from pathlib import Path
from typing import ClassVar

import pytest

from tools.devkit.host import first_on_path
from tools.devkit.places import host_tree

PACK = Path(__file__).resolve().parents[2]
HOST = host_tree()
first_on_path(HOST)

# Without comfy.options.enable_args_parsing() the defaults hold, whatever pytest's argv is: set what is
# needed by hand, BEFORE anything imports comfy.model_management (it asks for a GPU at import time).
import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True
comfy.cli_args.args.disable_metadata = False
# As main.py does: older hosts put comfy/ first on the path when `nodes` is imported, and comfy/utils.py would be found as utils.
import utils.install_util  # noqa: E402, F401


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """The host's `nodes` module with the core nodes and this pack, and private folders."""
    import folder_paths
    base = tmp_path_factory.mktemp("comfy")
    for name in ("input", "output", "temp", "user"):
        (base / name).mkdir()
        getattr(folder_paths, f"set_{name}_directory")(str(base / name))
    folder_paths.models_dir = str(base / "models")
    import nodes

    async def load():
        await nodes.init_public_apis()
        assert await nodes.load_custom_node(str(PACK), module_parent="custom_nodes"), "the pack did not load"
    asyncio.run(load())
    return nodes


@pytest.fixture(scope="session")
def pack(host):
    """The pack's module, as the host has named it: sys.modules[path with '.' -> '_x_']."""
    return sys.modules[str(PACK).replace(".", "_x_")]


@pytest.fixture(scope="module", autouse=True)
def _memory_goes_back():
    """The host keeps models that nobody names any more; beside other parts of the suite there is no room for those of all files."""
    yield
    import comfy.model_management
    comfy.model_management.unload_all_models()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):      # the allocator of glibc keeps what was freed
        ctypes.CDLL(None).malloc_trim(0)


class FakeServer:
    """What execution.PromptExecutor and the progress hooks ask of PromptServer."""

    client_id = "test"
    last_node_id = None
    last_prompt_id = None
    sockets_metadata: ClassVar[dict] = {}

    def __init__(self):
        self.sent = []

    def send_sync(self, event, data, sid=None):
        self.sent.append((event, data))


@pytest.fixture
def run(host):
    """run(prompt) -> dict: validates and executes an API-format prompt in process. Each run starts with an empty cache,
    unless it is given the `executor` of an earlier result."""
    import execution

    def _run(prompt, executor=None):
        pid = str(uuid.uuid4())
        valid = asyncio.run(execution.validate_prompt(pid, prompt, None))
        if not valid[0]:
            return {"valid": False, "error": valid[1], "node_errors": valid[3]}
        executor = executor or execution.PromptExecutor(FakeServer(), cache_type=execution.CacheType.CLASSIC,
                                                        cache_args={"lru": 0, "ram": 0.0, "ram_inactive": 0.0})
        executor.server.sent = []
        executor.execute(prompt, pid, {}, valid[2])
        return {"valid": True, "success": executor.success, "history": getattr(executor, "history_result", None),
                "messages": executor.status_messages, "sent": executor.server.sent, "executor": executor}
    return _run


@pytest.fixture
def call(host):
    """call("NodeId", **inputs) -> tuple of outputs: one node executed as the host executes it."""
    def _call(node_id, **inputs):
        import torch
        node = host.NODE_CLASS_MAPPINGS[node_id]
        with torch.inference_mode():     # as the host's executor does
            out = node.EXECUTE_NORMALIZED(**inputs)
        return out.result if hasattr(out, "result") else out
    return _call
