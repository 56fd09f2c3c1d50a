"""Every shipped workflow in the real frontend: it opens, exports what its API twin says, and runs to the end on the server.

They run with stand-ins for the model files (workflow_models.py), tiny pictures and one step: noise, but through every node. Every
subgraph blueprint is taken from the frontend's search, wired up, and run too.
"""
from __future__ import annotations

import asyncio
import copy
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import workflow_models
from frontend import STORE, Frontend

from tools.demo.client import Client
from tools.make_workflows import api_form, build
from tools.make_workflows.__main__ import as_text

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
PHOTOS = {"photo.jpg": "man_a_1.jpg", "pose.jpg": "man_a_2.jpg", "picture.jpg": "man_a_3.jpg", "second.jpg": "man_b_1.jpg"}
SMALLER = 8                             # pictures are drawn at 1 / SMALLER of their size: 64 pixels in place of 512
# It asks the owners of missing model files how large they are; the server's policy forbids calls to other machines.
MODEL_SIZES = r"Content Security Policy|Refused to connect"
SIDES = ("width", "height", "side")
TINY = {"steps": 1, "megapixels": 0.01, "cell_width": 64, "cell_height": 64}
LAYOUT = """() => {
    const boxes = app.graph.nodes.map((node) => {
        const [left, top, width, height] = node.boundingRect;
        return { name: node.title, left, top, right: left + width, bottom: top + height };
    }), wrong = [];
    const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
    for (const node of app.graph.nodes) {
        const least = node.computeSize();
        if (node.size[1] < least[1] - 1) wrong.push(`${node.title} is ${node.size[1]} high and needs ${least[1]}`);
    }
    boxes.forEach((box, i) => boxes.slice(i + 1).filter((other) => !apart(box, other))
        .forEach((other) => wrong.push(`${box.name} lies on ${other.name}`)));
    for (const group of app.graph.groups) {
        const [x, y, w, h] = group.boundingRect, frame = { left: x, top: y, right: x + w, bottom: y + h };
        boxes.filter((box) => !apart(box, frame) && !(box.left >= x && box.right <= frame.right && box.top >= y
            && box.bottom <= frame.bottom)).forEach((box) => wrong.push(`${box.name} lies across the frame of ${group.title}`));
    }
    return wrong;
}"""


@pytest.fixture(scope="module")
def stand_ins(server_folder, weights, url):
    """(node class, input) -> the stand-in's file name; the photos that the workflows name are there too."""
    for name, photo in PHOTOS.items():
        shutil.copyfile(ROOT / "tests" / "photos" / photo, server_folder / "input" / name)
    return workflow_models.write_all(server_folder / "models", weights)


@pytest.fixture(scope="module")
def shared_page(url, chromium):
    """One page for all of them: opening another for each would take longer than the rest."""
    frontend = Frontend(chromium, url, False, {}, {})
    frontend.forgive(MODEL_SIZES)
    frontend.load()
    yield frontend
    frontend.context.close()


@pytest.fixture
def page(shared_page):
    """The shared page, which must have nothing to complain about in this test."""
    shared_page.complaints.clear()
    yield shared_page
    assert shared_page.complaints == []


@pytest.fixture(scope="module")
def object_info(shared_page):
    return json.loads(shared_page.get("/object_info"))


def content(path):
    return json.loads(path.read_text(encoding="utf-8"))


def drop(page, path):
    """Drop a file once the frontend's busy mask is gone: PrimeVue fails when another comes before it has faded."""
    page.page.wait_for_function("() => !document.querySelector('.p-blockui-mask')")
    page.drop_workflow(path)


def exported(page):
    """The graph in API format, without the player that the host puts under a video and exports as if it were an input."""
    prompt = page.export_api()
    for node in prompt.values():
        node["inputs"].pop("video-preview", None)
    return prompt


def small(prompt, stand_ins):
    """The prompt with stand-ins for its models, tiny pictures and one step."""
    prompt = copy.deepcopy(prompt)
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                continue
            elif (node["class_type"], name) in stand_ins:
                node["inputs"][name] = stand_ins[node["class_type"], name]
            elif name in SIDES:
                node["inputs"][name] = value // SMALLER
            elif name in TINY:
                node["inputs"][name] = TINY[name]
    return prompt


def run(url, prompt):
    async def go():
        async with Client(url) as client:
            return await client.run(prompt)
    with ThreadPoolExecutor(1) as pool:         # playwright's own event loop runs in this thread
        return pool.submit(asyncio.run, go()).result()


def people_are_saved(url, server_folder, stand_ins):
    """The second half of the library loads what the first half saves."""
    if not list(server_folder.glob("output/caphuman/second_00001.*")):
        run(url, small(content(ROOT / "workflows" / "api" / "identity_library_1_save.json"), stand_ins))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_template_opens_and_exports_its_twin(page, path):
    drop(page, path)
    assert page.page.evaluate(f"() => {STORE}.missingNodesError") is None
    assert page.page.evaluate(LAYOUT) == []
    assert exported(page) == content(ROOT / "workflows" / "api" / path.name)


def with_every_node():
    """A few templates that hold every node of the pack."""
    kinds = {path: {node["type"] for node in content(path)["nodes"] if node["type"].startswith("CapHuman")} for path in WORKFLOWS}
    left, chosen = set().union(*kinds.values()), []
    while left:
        chosen.append(max(WORKFLOWS, key=lambda path: len(kinds[path] & left)))
        left -= kinds[chosen[-1]]
    return chosen


EVERY_NODE = with_every_node()
FIRST = ("first_portrait", "portrait_from_photo", "portrait.app")
RUNS = [pytest.param(path, id=path.stem, marks=() if path.stem in FIRST or path in EVERY_NODE else pytest.mark.thorough)
        for path in WORKFLOWS]


@pytest.mark.parametrize("path", RUNS)
def test_a_template_runs(url, server_folder, stand_ins, path):
    """What the frontend exports (its twin, as the test above says)."""
    if path.stem == "identity_library_2_use":
        people_are_saved(url, server_folder, stand_ins)
    prompt = small(content(ROOT / "workflows" / "api" / path.name), stand_ins)
    result = run(url, prompt)                           # a node that fails raises
    saved = [node for node, entry in prompt.items() if entry["class_type"] in ("SaveImage", "PreviewImage", "MaskPreview")]
    assert all(result.images[node] for node in saved)


@pytest.mark.thorough
def test_templates_open_the_same_with_vue_nodes(open_page, stand_ins):
    page = open_page(True)
    page.forgive(MODEL_SIZES)
    for path in EVERY_NODE:
        drop(page, path)
        assert exported(page) == content(ROOT / "workflows" / "api" / path.name), path.stem
    page.fit_view()
    page.screenshot("template_vue")


def test_every_node_of_the_pack_is_in_some_workflow(object_info):
    used = {node["type"] for path in WORKFLOWS for node in content(path)["nodes"]}
    assert {name for name in object_info if name.startswith("CapHuman")} - used == set()


# What people who know other packs type into the frontend's search, and a node that must be among what it finds.
TYPED = {"ip-adapter face": "CapHumanApplyCapFace", "instantid": "CapHumanApplyCapFace", "faceid": "CapHumanEncodeIdentity",
         "pose": "CapHumanEditHead", "facial expression": "CapHumanEditHead", "landmarks": "CapHumanFitHeadLandmarks",
         "relight": "CapHumanRelightHead", "live portrait": "CapHumanTransferHead", "depth map": "CapHumanRenderHead",
         "missing models": "CapHumanDoctor"}


def test_the_search_finds_nodes_by_what_people_type(page):
    found = page.page.evaluate("""async (typed) => {
        const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s;
        const search = stores.get('nodeDef').nodeSearchService;
        return Object.fromEntries(typed.map((text) => [text, search.searchNode(text).slice(0, 20).map((node) => node.name)]));
    }""", list(TYPED))
    assert [text for text, node in TYPED.items() if node not in found[text]] == []


def test_the_files_follow_from_their_descriptions(object_info):
    """python dev.py generate writes them anew."""
    templates, blueprints = build.workflows(object_info), build.subgraphs(object_info)
    assert set(templates) == {path.stem for path in WORKFLOWS}
    assert set(blueprints) == {path.stem for path in BLUEPRINTS}
    for path, built in ((path, templates | blueprints) for path in WORKFLOWS + BLUEPRINTS):
        assert as_text(built[path.stem]) == path.read_text(encoding="utf-8"), f"{path.name}: run python dev.py generate"
    for name, template in templates.items():
        twin = content(ROOT / "workflows" / "api" / f"{name}.json")
        assert api_form.to_api(template, object_info) == twin, f"{name}: run python dev.py generate"


def test_the_frontend_lists_the_blueprints(page):
    listed = json.loads(page.get("/global_subgraphs")).values()
    ours = {entry["name"] for entry in listed if entry["info"]["node_pack"].startswith("custom_nodes.")}
    assert ours == {path.stem for path in BLUEPRINTS}


WIRE = """(wires) => {
    const by = Object.fromEntries(app.graph.nodes.map((node) => [node.title, node]));
    for (const [from, output, to, input] of wires)
        by[from].connect(by[from].findOutputSlot(output), by[to], by[to].findInputSlot(input));
}"""
WIRES = [("Load Image", "IMAGE", blueprint, "image") for blueprint in ("CapHuman Photo to Identity", "CapHuman Photo to Head")] + [
    ("Load Image", "IMAGE", "CapHuman Pose from Photo", name) for name in ("person", "pose_photo")] + [
    ("Load Checkpoint", name.upper(), "CapHuman Portrait", name) for name in ("model", "clip", "vae")] + [
    ("CapHuman Photo to Identity", "identity", "CapHuman Portrait", "identity"),
    ("CapHuman Pose from Photo", "head", "CapHuman Portrait", "head"),
    ("CapHuman Pose from Photo", "head_model", "CapHuman Portrait", "head_model"),
    ("CapHuman Portrait", "image", "Save Image", "images"), ("CapHuman Photo to Head", "overlay", "Preview Image", "images")]


@pytest.mark.thorough
def test_blueprints_are_found_wired_and_run(open_page, url, stand_ins):
    page = open_page(False)
    page.forgive(MODEL_SIZES)
    names = ["Load Image", "Load Checkpoint", "Save Image", "Preview Image", *(path.stem for path in BLUEPRINTS)]
    for number, name in enumerate(names):
        add_by_search(page, name, number)
    page.page.evaluate(WIRE, WIRES)
    prompt = page.export_api()
    (image,) = [node for node in prompt.values() if node["class_type"] == "LoadImage"]
    image["inputs"]["image"] = "photo.jpg"
    assert {"KSampler", "CapHumanTransferHead", "CapHumanEncodeIdentity"} <= {node["class_type"] for node in prompt.values()}
    result = run(url, small(prompt, stand_ins))
    assert len(result.images) >= 2
    page.screenshot("blueprints")


def add_by_search(page, name, number):
    """Double-click on the empty canvas, type a name, take what is found first, and put it down."""
    place = {"x": 150 + 300 * (number % 4), "y": 200 + 250 * (number // 4)}
    page.page.evaluate("() => { app.canvas.ds.scale = 0.4; app.canvas.setDirty(true, true); }")
    search = page.page.get_by_role("combobox", name="Add a node...")

    def opened():
        """A busy page takes two slow clicks for what they are: once more then."""
        page.page.locator("#graph-canvas").dblclick(position={"x": 700, "y": 800})
        page.page.wait_for_timeout(500)
        return search.is_visible()
    page.wait(opened)
    search.fill(name)
    page.page.locator("[data-testid=result-item]").first.get_by_text(name, exact=True).wait_for()
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("(title) => app.graph.nodes.at(-1)?.title === title", arg=name)
    page.page.locator("#graph-canvas").click(position=place)
