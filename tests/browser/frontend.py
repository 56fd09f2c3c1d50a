"""The frontend's page as the browser tests use it: open, drop files, build graphs, queue, and take pictures.

Every wait is for a condition; PATIENCE only bounds it, so that a slow machine is slow and not wrong.
"""
from __future__ import annotations

import io
import itertools
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page

from tools.devkit.places import TEST_OUTPUT

PATIENCE = 60.0                 # seconds
SCREENSHOTS = TEST_OUTPUT / "screenshots"
# What the frontend says by itself on a fresh profile.
HARMLESS = (
    re.compile(r"/user\.css"),                          # asked for always; exists only where somebody wrote one
    re.compile(r"/api/userdata"),                       # workflows index, templates: not there before the first save
    re.compile(r"graph accessed before init"),          # its own start-up warning
    re.compile(r"/api/jobs/[0-9a-f-]+( |$)"),           # asked for while the host has not filed that job, or no longer has it
    re.compile(r"ERR_NAME_NOT_RESOLVED|ERR_INTERNET_DISCONNECTED"),     # its calls to other machines, which are cut off here
)
SETTINGS = {
    "Comfy.TutorialCompleted": False,                   # an empty graph and the templates dialog, not the default graph
    "Comfy.Workflow.Persist": False, "Comfy.Notification.ShowVersionUpdates": False, "Comfy.Minimap.Visible": False,
    "Comfy.Locale": "en", "Comfy.ColorPalette": "dark",
}
READY = "() => window.app?.vueAppReady && window.app.isGraphReady"
RECORD = """() => {
    window.__events = [];
    for (const kind of ['executed', 'execution_success', 'execution_error', 'execution_interrupted'])
        app.api.addEventListener(kind, (event) => window.__events.push([kind, event.detail]));
}"""
DROP = """([text, name]) => {
    const data = new DataTransfer(), canvas = document.querySelector('#graph-canvas'), box = canvas.getBoundingClientRect();
    data.items.add(new File([text], name, { type: 'application/json' }));
    const middle = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
    const about = { dataTransfer: data, bubbles: true, cancelable: true, ...middle };
    for (const kind of ['dragenter', 'dragover', 'drop']) canvas.dispatchEvent(new DragEvent(kind, about));
}"""
CLEAR = """async () => {
    const { command, workflow } = app.extensionManager;
    app.canvas.deselectAll();
    await command.execute('Comfy.NewBlankWorkflow');
    for (const each of [...workflow.openWorkflows])
        if (each !== workflow.activeWorkflow) await workflow.closeWorkflow(each);
    localStorage.removeItem('caphuman.pose');
    Object.assign(app.canvas.ds, { scale: 1, offset: [0, 0] });
    window.__events.length = 0;
    return app.graph.nodes.length === 0 && workflow.openWorkflows.length === 1
        && ![...document.querySelectorAll('[role=dialog], .p-toast-message, .p-contextmenu, .litecontextmenu, .side-bar-panel')]
            .some((each) => each.checkVisibility());
}"""
VIEWPORT = {"width": 1400, "height": 900}
STORE = "document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s.get('missingNodesError')"
_serial = itertools.count(1)


@dataclass
class Run:
    """What came of one queued prompt."""

    prompt_id: str
    outputs: dict[str, dict] = field(default_factory=dict)      # node id -> the ui part of its output
    error: dict | None = None


def key_of(vue: bool, settings: dict[str, Any], context: dict[str, Any]) -> str:
    """Equal for pages that are opened alike, but for the window's size, which can be changed."""
    return json.dumps([vue, settings, {name: value for name, value in context.items() if name != "viewport"}], sort_keys=True)


class Frontend:
    """One page of the frontend in its own browser profile."""

    def __init__(self, browser: Browser, url: str, vue: bool, settings: dict[str, Any], context: dict[str, Any]) -> None:
        self.url, self.vue, self.settings = url, vue, settings
        self.complaints: list[str] = []
        self.canvas_clicks = 0
        self._forgiven = list(HARMLESS)
        self.key, self.worn = key_of(vue, settings, context), False         # worn: not to be used by another test
        self.context = browser.new_context(**{"viewport": VIEWPORT, **context})
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page: Page = self.context.new_page()
        self._listen()

    def forgive(self, pattern: str) -> None:
        """Complaints that match are what this test is about."""
        self._forgiven.append(re.compile(pattern))

    def _listen(self) -> None:
        def complain(text: str) -> None:
            if not any(pattern.search(text) for pattern in self._forgiven):
                self.complaints.append(text)
        self.page.on("console", lambda said: said.type == "error" and complain(f"console {said.text} @ {said.location.get('url')}"))
        self.page.on("pageerror", lambda error: complain(f"page error {error} {error.stack}"))
        self.page.on("response", lambda answer: answer.status >= 400 and complain(f"http {answer.status} {answer.url}"))

    # --- opening

    def load(self) -> None:
        """Open the frontend with this page's settings and wait until it can be used."""
        self._settle({})
        self.page.goto(self.url, wait_until="domcontentloaded")
        self.wait_ready()
        if not {**SETTINGS, **self.settings}["Comfy.TutorialCompleted"]:
            self.page.locator("[role=dialog]").first.wait_for()
            self.close_dialogs()

    def _settle(self, known: dict[str, Any]) -> None:
        """Settings of the server's one user: what another page has asked for is put right before this one loads (again)."""
        self.post("/api/settings", {**SETTINGS, "Comfy.VueNodes.Enabled": self.vue, **self.settings, **known})

    def clear(self) -> bool:
        """Make the page as good as new for the next test; whether that was possible."""
        self.page.mouse.move(700, 5)
        self.close_dialogs()
        return not self.worn and self.page.evaluate(CLEAR)

    def resume(self, viewport: dict[str, int] | None) -> None:
        """A page that was cleared begins a test: what was said in the meantime is not of that test."""
        self.page.set_viewport_size(viewport or VIEWPORT)
        self._settle({"Comfy.TutorialCompleted": True})     # reloaded, it opens no dialog again
        self.complaints.clear()
        self._forgiven = list(HARMLESS)

    def wait_ready(self) -> None:
        """Until the page has started (also after a reload); from here on, events of prompts are recorded."""
        self.page.wait_for_function(READY)
        self.page.wait_for_selector('[data-testid="queue-button"]')
        self.page.evaluate(RECORD)

    def close_dialogs(self) -> None:
        """Escape until no dialog is open: pressed before a dialog listens, the first one is lost."""
        dialogs = self.page.locator("[role=dialog]")
        while dialogs.count():
            self.page.keyboard.press("Escape")
            self.page.wait_for_timeout(100)

    def reload(self) -> None:
        """Load the page again, as the reload button does."""
        self.page.reload(wait_until="domcontentloaded")
        self.wait_ready()

    def switch_mode(self, vue: bool) -> None:
        """Turn Vue nodes on or off in the running page."""
        self.worn = True
        self.page.evaluate("(on) => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", vue)
        self.page.wait_for_function("(on) => !!LiteGraph.vueNodesMode === on", arg=vue)
        self.vue = vue

    # --- files and graphs

    def drop_workflow(self, workflow: Path | dict) -> None:
        """Drop a workflow file (a path, or its content) on the canvas and wait until its graph is shown."""
        text = workflow.read_text(encoding="utf-8") if isinstance(workflow, Path) else json.dumps(workflow)
        stem = workflow.stem if isinstance(workflow, Path) else "graph"
        name = f"{stem} {next(_serial)}.json"           # an unmodified tab of the same name would be shown again instead
        types = sorted({node["type"] for node in json.loads(text)["nodes"]})
        self.page.evaluate(DROP, [text, name])
        self.page.wait_for_function("""([types, name]) => app.extensionManager.workflow.activeWorkflow?.path.endsWith('/' + name)
            && types.every((type) => app.graph.nodes.some((node) => node.type === type))""", arg=[types, name])

    def load_api(self, prompt: dict[str, dict]) -> None:
        """Show the graph of an API-format prompt; inputs that it leaves out get their defaults."""
        shown = "(ids) => ids.every((id) => app.graph.getNodeById(id))"
        self.page.evaluate("(prompt) => app.loadApiJson(prompt, 'prompt.json')", prompt)
        self.page.wait_for_function(shown, arg=list(prompt))
        # Once more as a file: what was read from an API prompt differs from it in small ways, which undo would take for steps.
        self.page.evaluate("() => app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))")
        self.page.wait_for_function(shown, arg=list(prompt))

    def missing_nodes(self) -> Any:
        """What the frontend says about unknown nodes: None if all are known."""
        overlay = self.page.locator('[data-testid="error-overlay"]').count()
        return self.page.evaluate(f"() => {STORE}.missingNodesError") or ("error overlay" if overlay else None)

    def export_api(self) -> dict[str, dict]:
        """The graph in API format, as *Export (API)* writes it."""
        return self.page.evaluate("async () => (await app.graphToPrompt()).output")

    def export_workflow(self) -> dict[str, Any]:
        """The graph in UI format, as *Save* writes it."""
        return self.page.evaluate("async () => (await app.graphToPrompt()).workflow")

    def fit_view(self) -> None:
        """Show the whole graph."""
        self.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")

    def look_at(self, node: str | int, scale: float = 1.0) -> None:
        """Put a node's upper left corner near the canvas's, at a zoom."""
        self.page.evaluate("""async ([id, scale]) => {
            const frame = () => new Promise(requestAnimationFrame), view = app.canvas.ds;
            const [x, y] = app.canvas.graph.getNodeById(id).pos, wanted = [100 / scale - x, 110 / scale - y];
            const there = () => [...wanted, scale].every((value, k) => Math.abs(value - [...view.offset, view.scale][k]) < 0.01);
            do {                                        // a graph that was just loaded may fit the view a frame later
                view.scale = scale;
                [view.offset[0], view.offset[1]] = wanted;
                app.canvas.setDirty(true, true);
                await frame();
                await frame();
            } while (!there());
        }""", [str(node), scale])

    def click_canvas(self) -> None:
        """Click the empty lower right of the canvas, as one does to leave a field; never twice running in one place, which would be
        a double-click where the machine is quick, and opens the node search."""
        size = self.page.viewport_size or {"width": 1400, "height": 900}
        self.canvas_clicks += 1
        self.page.mouse.click(size["width"] - 150 - 80 * (self.canvas_clicks % 2), size["height"] - 150)

    def press(self, keys: str) -> None:
        """Press keys when the graph's own undo is not still at work: it ignores keys then."""
        self.page.wait_for_function("() => !app.extensionManager.workflow.activeWorkflow.changeTracker._restoringState")
        self.page.keyboard.press(keys)

    def click_title(self, node: str | int) -> None:
        """Click a node's title, which selects it."""
        self.page.mouse.click(*self.page.evaluate("""(id) => {
            const [x, y] = app.canvas.graph.getNodeById(id).pos, box = app.canvas.canvas.getBoundingClientRect();
            const [left, top] = app.canvas.ds.convertOffsetToCanvas([x + 60, y - 15]);
            return [box.x + left, box.y + top];
        }""", str(node)))

    # --- running

    def queue_and_wait(self, expect: str = "execution_success") -> Run:
        """Click Run and wait for the end of that prompt; AssertionError with the server's words if it ends otherwise."""
        return self.wait_for_run(self.queue(), expect)

    def queue(self) -> Run:
        """Click Run; returns when the server has taken the prompt."""
        def is_answer(answer) -> bool:
            return answer.url.endswith("/api/prompt") and answer.request.method == "POST"
        with self.page.expect_response(is_answer) as told:
            self.page.click('[data-testid="queue-button"]')
        body = told.value.json()
        assert told.value.status == 200, body
        assert not body.get("node_errors"), body
        return Run(body["prompt_id"])

    def wait_for_run(self, run: Run, expect: str = "execution_success") -> Run:
        """Wait for the end of a queued prompt and fill in its outputs."""
        ended = "(id) => window.__events.some(([kind, about]) => kind.startsWith('execution_') && about.prompt_id === id)"
        self.page.wait_for_function(ended, arg=run.prompt_id)
        events = [event for event in self.page.evaluate("() => window.__events") if event[1]["prompt_id"] == run.prompt_id]
        for kind, about in events:
            if kind == "executed":
                run.outputs[str(about["node"])] = about.get("output") or {}
            elif kind == "execution_error":
                run.error = about
        assert events[-1][0] == expect, events[-1]
        return run

    def picture(self, run: Run, node: str | int, number: int = 0) -> Image.Image:
        """A picture that a node of the run showed."""
        query = urllib.parse.urlencode(run.outputs[str(node)]["images"][number])
        return Image.open(io.BytesIO(self.get(f"/view?{query}"))).convert("RGB")

    def wait_for_picture(self, node: str | int) -> None:
        """Until a node of the graph shows a picture."""
        shown = "(id) => document.querySelector(`[data-node-id='${id}'] img[data-testid=main-image]`)?.naturalWidth > 0" \
            if self.vue else "(id) => app.graph.getNodeById(id)?.imgs?.[0]?.naturalWidth > 0"
        self.page.wait_for_function(shown, arg=str(node))

    # --- the rest

    def get(self, path: str) -> bytes:
        """A GET request past the browser."""
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return answer.read()

    def post(self, path: str, body: Any) -> bytes:
        """A POST request with a JSON body, past the browser."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()

    def wait(self, condition: Callable[[], Any], about: Callable[[], Any] = lambda: "nothing more",
             patience: float = PATIENCE) -> Any:
        """Until a Python condition holds; returns its value. `about` is told if it never does.

        For conditions in the page use page.wait_for_function."""
        deadline = time.monotonic() + patience
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited in vain: {about()}"
            self.page.wait_for_timeout(50)
        return value

    def screenshot(self, name: str) -> Path:
        """Keep a picture of the page as an artefact."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=str(path))
        return path
