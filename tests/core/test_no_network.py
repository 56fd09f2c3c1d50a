"""Nothing in the pack opens a connection or starts a program: a workflow from a stranger cannot make it fetch anything."""
from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {"urllib", "urllib3", "requests", "http", "httpx", "socket", "ftplib", "smtplib", "telnetlib", "huggingface_hub",
             "subprocess", "webbrowser", "ctypes", "pip", "xmlrpc", "websocket", "websockets", "torch.hub"}
TAKES_TEXT_APART = "urllib.parse."         # the one half of urllib that opens nothing
# aiohttp answers the editor's requests; its client half is not used.
ALLOWED_FROM_AIOHTTP = {"web"}
CALLS = {"eval", "exec", "compile", "system", "popen", "load_state_dict_from_url", "hf_hub_download", "__import__"}


def complaints(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            evaluates = name in ("eval", "compile") and isinstance(node.func, ast.Attribute)     # network.eval(), re.compile()
            found += [f"calls {name}"] if name in CALLS and not evaluates else []
            continue
        else:
            continue
        found += [f"imports {name}" for name in names if (name.split(".")[0] in FORBIDDEN or name in FORBIDDEN)
                  and not name.startswith(TAKES_TEXT_APART)]
        found += [f"imports {name}" for name in names
                  if name.split(".")[0] == "aiohttp" and name.removeprefix("aiohttp.") not in ALLOWED_FROM_AIOHTTP]
    return found


def shipped() -> list[Path]:
    """Every module that the registry's archive holds: all but what .comfyignore names, git ignores or begins with a dot."""
    lists = [(ROOT / name).read_text(encoding="utf-8").splitlines() for name in (".comfyignore", ".gitignore")]
    left_out = {line.strip("/") for lines in lists for line in lines}
    kept = [entry for entry in ROOT.iterdir() if entry.name not in left_out and not entry.name.startswith(".")]
    return sorted(path for entry in kept for path in ([entry] if entry.suffix == ".py" else entry.rglob("*.py")))


def test_whatever_ships_opens_no_connection_and_starts_no_program():
    modules = shipped()
    found = {path.relative_to(ROOT).as_posix(): complaints(path.read_text(encoding="utf-8")) for path in modules}
    assert not {name: wrong for name, wrong in found.items() if wrong}
    assert {path.relative_to(ROOT).parts[0] for path in modules} == {"__init__.py", "nodes", "caphuman_core"}


def test_the_check_finds_what_it_looks_for():
    for source in ("import socket", "from urllib.request import urlopen", "from aiohttp import ClientSession", "eval('1')",
                   "import os\nos.system('x')", "import aiohttp", "import torch.hub", "def f():\n    import subprocess"):
        assert complaints(source), source
    for source in ("from aiohttp import web", "import re\nre.compile('x')", "network.eval()"):
        assert not complaints(source), source


def test_the_editor_s_scripts_talk_to_their_own_server_only():
    for path in (ROOT / "web").rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert "http://" not in text.replace("http://www.w3.org", ""), path.name
        for word in ("XMLHttpRequest", "new WebSocket", "sendBeacon", "importScripts", "eval("):
            assert word not in text, path.name
        assert not any(line.strip() for line in text.splitlines() if "fetch(" in line and "api.fetch" not in line and "://" in line)
