"""The pack in the frontend at all: its nodes are known, a dropped file opens, exports and runs, in both rendering modes."""
from __future__ import annotations

import json

import numpy as np

SIDE = 192
# New head -> render -> preview, in API format.
RENDER = {
    "1": {"class_type": "CapHumanLoadHeadModel", "inputs": {"head_model_name": "built-in"}},
    "2": {"class_type": "CapHumanNewHead", "inputs": {"head_model": ["1", 0], "width": SIDE, "height": SIDE}},
    "3": {"class_type": "CapHumanRenderHead", "inputs": {"head": ["2", 0], "head_model": ["1", 0], "width": SIDE, "height": SIDE}},
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 3]}},
}


def test_a_dropped_file_opens_exports_and_runs(browser_page, url):
    browser_page.load_api(RENDER)
    before = browser_page.export_api()
    browser_page.drop_workflow(browser_page.export_workflow())
    assert browser_page.missing_nodes() is None
    assert browser_page.export_api() == before
    assert {node: entry["class_type"] for node, entry in before.items()} == {
        node: entry["class_type"] for node, entry in RENDER.items()}
    run = browser_page.queue_and_wait()
    drawn = np.asarray(browser_page.picture(run, 4))
    assert drawn.shape == (SIDE, SIDE, 3)
    assert 0.05 < (drawn.max(-1) > 8).mean() < 0.9      # a head, not nothing and not everything
    browser_page.wait_for_picture(4)
    browser_page.screenshot(f"render_{'vue' if browser_page.vue else 'classic'}")


def test_an_unknown_node_would_be_seen(open_page):
    """The test of the test: the check for missing nodes finds one."""
    page = open_page(False, fresh=True)
    page.forgive(r"api\.comfy\.org/comfy-nodes")        # the frontend asks its registry who makes that node
    page.load_api(RENDER)
    graph = json.loads(json.dumps(page.export_workflow()).replace("CapHumanNewHead", "CapHumanOfTomorrow"))
    page.drop_workflow(graph)
    assert page.missing_nodes()
