"""The benchmark's report in a browser: wide, narrow, dark, on paper; it asks for nothing and says nothing to the console."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]
MAKE = """
import sys
from pathlib import Path
from made_runs import made_plan, made_run, random_scores
from caphuman_bench.report.write import report
plan = made_plan(12, prompts=8, heads=4, samples=1)
report(made_run(Path(sys.argv[1]), plan, random_scores(plan)))
"""
# Words that stand in more lines than they have parts: broken between letters.
BROKEN = """() => [...document.querySelectorAll("th, td.text")].filter(cell => {
    const text = cell.innerText.trim();
    if (!/^[A-Za-z]+$/.test(text)) return false;
    const range = document.createRange();
    range.selectNodeContents(cell);
    return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1;
}).map(cell => cell.innerText)"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "run"
    made = subprocess.run([sys.executable, "-c", MAKE, str(folder)], cwd=PACK, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(PACK / "tests" / "bench")})
    assert made.returncode == 0, made.stderr
    return folder / "report" / "index.html"


@pytest.fixture
def opened(report, chromium):
    """opened(**context) -> the page with the report; it must have had nothing to say and nothing to ask for."""
    contexts, said = [], []

    def open_(**context):
        contexts.append(chromium.new_context(**context))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("data:", report.as_uri())) or said.append(request.url))
        page.goto(report.as_uri())
        return page
    yield open_
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("width", [340, 800, 1600])
def test_the_report_fits_its_window(opened, width):
    page = opened(viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width       # wide tables scroll on their own
    assert page.evaluate(BROKEN) == []


def test_the_report_is_dark_in_a_dark_browser(opened):
    page = opened(color_scheme="dark")
    levels = page.evaluate("""() => ["backgroundColor", "color"].map(name =>
        getComputedStyle(document.body)[name].match(/[0-9]+/g).slice(0, 3).reduce((sum, value) => sum + Number(value), 0) / 3)""")
    assert levels[0] < 50
    assert levels[1] > 200


def test_what_is_folded_is_printed(opened):
    page = opened()
    prompt = page.get_by_text("a photo of a person", exact=True).first
    assert not prompt.is_visible()
    page.emulate_media(media="print")
    assert prompt.bounding_box()["height"] > 5
