"""A workflow file with a node that has been renamed since: the frontend replaces it, with its values and its links.

The server has no renamed node yet; its answer about one is what tests/host/test_security.py checks `nodes/replacements.py` makes.
"""
from __future__ import annotations

import json
from pathlib import Path

RETIRED = json.loads(Path(__file__).with_name("retired_node.json").read_text(encoding="utf-8"))


def test_a_retired_node_is_replaced_with_its_values_and_links(browser_page):
    page = browser_page.page
    browser_page.forgive("Content Security Policy")          # the frontend asks a registry for the missing node's pack
    browser_page.worn = True
    browser_page.context.route("**/node_replacements", lambda route: route.fulfill(
        json={RETIRED["entry"]["old_id"]: [RETIRED["host"]]}))
    browser_page.reload()
    page.evaluate("(workflow) => app.loadGraphData(workflow)", RETIRED["workflow"])
    page.get_by_test_id("error-overlay-see-errors").click()
    page.get_by_role("button", name="Replace All").click()
    page.wait_for_function("() => app.graph.getNodeById(2)?.type === 'CapHumanNewHead'")
    assert browser_page.missing_nodes() is None
    exported = browser_page.export_api()
    assert exported["2"]["class_type"] == "CapHumanNewHead"
    assert exported["2"]["inputs"] == {"head_model": ["1", 0], "width": 320, "height": 64}
    assert exported["3"]["inputs"] == {"head": ["2", 0], "filename_prefix": "of_a_retired_node"}
    browser_page.queue_and_wait()
