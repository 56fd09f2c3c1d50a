"""Browser tests: this pack in the real frontend, in a headless Chromium, against a real server.

One server and one browser for all of them; pages that a test left clean are used again. A page that logs an error, throws, or
gets an HTTP error fails its test (frontend.HARMLESS names what a fresh profile says by itself). Pictures: .test-output/screenshots.
"""
from __future__ import annotations

import os
import re
import shutil
import zlib
from pathlib import Path

import pytest
from frontend import Frontend, key_of

from tools.devkit import browser, places, server
from tools.stand_ins import narrow_files

ROOT = places.ROOT
# The last one: what the page asks of other machines fails at once instead of waiting for a network that may not be there.
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
KEPT = 3                                                 # pages between tests: one in each rendering mode, and a special one
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory):
    """The server's whole state: input, output, user, custom_nodes (this pack linked), server.log."""
    import skimage.data
    base = tmp_path_factory.mktemp("server")
    (base / "input").mkdir()
    shutil.copyfile(Path(skimage.data.__file__).parent / "astronaut.png", base / "input" / "example.png")
    shutil.copyfile(ROOT / "tests" / "photos" / "man_a_1.jpg", base / "input" / "photo.jpg")
    narrow_files.add_node(base)
    return base


@pytest.fixture(scope="session")
def weights(server_folder):
    """Untrained stand-ins of the model files that a portrait needs, by role; those of checkpoint and CapFace are narrow."""
    return narrow_files.write_portrait(server_folder / "models")


@pytest.fixture(scope="session")
def url(server_folder):
    """Address of the running server."""
    tree = Path(os.environ.get("COMFYUI_PATH") or places.OWN_HOST).resolve()
    with server.serving(tree, server_folder, server.free_port(), cpu=True) as address:
        yield address


@pytest.fixture(scope="session")
def chromium():
    """The running browser, a playwright.sync_api.Browser."""
    from playwright.sync_api import sync_playwright
    program = browser.ready()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(program), headless=True, args=list(ARGUMENTS))
        yield running
        running.close()


def pytest_collection_modifyitems(items):
    """Of a test that runs in both rendering modes one is thorough: by the name's checksum, so that each mode keeps half of them."""
    modes = {}
    for item in items:
        if (mode := re.search(r"\b(classic|vue)\b", item.name)) and item.get_closest_marker("thorough") is None:
            modes.setdefault(item.nodeid.replace(mode[0], ""), []).append(item)
    for name, pair in modes.items():
        if len(pair) == 2:
            pair[zlib.crc32(name.encode()) % 2].add_marker("thorough")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or outcome.get_result().failed


@pytest.fixture(scope="session")
def waiting():
    """Cleared pages by their key: to open a page takes longer than most tests."""
    pages: dict[str, Frontend] = {}
    yield pages
    for page in pages.values():
        page.context.close()


@pytest.fixture
def open_page(url, chromium, waiting, request):
    """open_page(vue, settings=None, fresh=False, **context) -> Frontend: a ready page with an empty graph.

    settings: of the frontend, by name. context: options of playwright's new_context (viewport, device_scale_factor,
    has_touch ...). A page that a test left clean serves the next one that asks for its like; fresh: a profile of its own, for
    tests of what a page stores, holds, or has replaced. At the end of the test the pages must have had nothing to complain about.
    """
    opened: list[Frontend] = []

    def _open(vue: bool, settings: dict | None = None, fresh: bool = False, **context) -> Frontend:
        page = None if fresh else waiting.pop(key_of(vue, settings or {}, context), None)
        if page:
            page.resume(context.get("viewport"))
        else:
            page = Frontend(chromium, url, vue, settings or {}, context)
            page.worn = fresh
            page.load()
        opened.append(page)
        return page
    yield _open
    failed = request.node.stash.get(FAILED, False)
    for number, page in enumerate(opened):
        if failed:
            page.screenshot(f"failed_{re.sub(r'[^A-Za-z0-9]+', '_', request.node.name)}_{number}")
    complaints = [complaint for page in opened for complaint in page.complaints]
    for page in opened:
        if failed or complaints or page.key in waiting or not page.clear():
            page.context.close()
        else:
            waiting[page.key] = page
    while len(waiting) > KEPT:
        waiting.pop(next(iter(waiting))).context.close()
    assert complaints == []


@pytest.fixture(params=[False, True], ids=["classic", "vue"])
def browser_page(open_page, request):
    """A ready Frontend, once in each rendering mode."""
    return open_page(request.param)
