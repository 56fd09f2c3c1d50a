"""The head editor of one node, as a hand uses it. Names of elements stand at the top of web/editor/editor.js."""
from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from frontend import Frontend
from PIL import Image
from playwright.sync_api import Locator

SIDE = 256
# Head model -> new head -> edit -> render -> preview, in API format; the editor is node 3, the picture node 5.
GRAPH = {
    "1": {"class_type": "CapHumanLoadHeadModel", "inputs": {"head_model_name": "built-in"}},
    "2": {"class_type": "CapHumanNewHead", "inputs": {"head_model": ["1", 0], "width": SIDE, "height": SIDE}},
    "3": {"class_type": "CapHumanEditHead", "inputs": {"head": ["2", 0], "head_model": ["1", 0], "mode": "add"}},
    "4": {"class_type": "CapHumanRenderHead", "inputs": {"head": ["3", 0], "head_model": ["1", 0], "width": SIDE, "height": SIDE}},
    "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 3]}},
}
PIXELS = """(canvas) => {
    const { width, height } = canvas, data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let text = '';
    for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
    return [width, height, btoa(text)];
}"""
# A browser hands mouse moves to the page with its next frame, however long that takes. A page in the background has no frames.
SETTLED = """() => new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)));
    setTimeout(done, 20000);
})"""
# The graph object that holds a node: the root graph, or the subgraph that is shown.
NODE = "(app.canvas.graph ?? app.graph).getNodeById({node})"


def thumbnail(place: Locator) -> np.ndarray:
    """The small picture in an element, int [height, width, 3]."""
    text = place.locator("canvas").evaluate("(canvas) => canvas.toDataURL('image/png').split(',')[1]")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")).astype(int)


class Editor:
    """The editor of one node in a page."""

    def __init__(self, page: Frontend, node: str | int = 3) -> None:
        self.page, self.node = page, str(node)
        self.root: Locator = page.page.locator(f"[data-testid=caphuman-editor][data-node-id='{node}']")
        self.view = self.part("view")

    def part(self, name: str) -> Locator:
        """The element caphuman-NAME of this editor."""
        return self.root.locator(f"[data-testid='caphuman-{name}']")

    def wait_ready(self) -> Editor:
        """Until the view shows a head."""
        self.view.wait_for()
        self.page.wait(lambda: self.drawn() > 0)
        return self

    # --- what it shows

    def drawn(self) -> int:
        """How often the view was drawn."""
        return int(self.view.get_attribute("data-drawn") or 0)

    def values(self) -> dict[str, Any]:
        """The node's widgets by name, as they would be saved."""
        return self.page.page.evaluate(f"""() => Object.fromEntries({NODE.format(node=self.node)}.widgets
            .filter((widget) => widget.serialize !== false).map((widget) => [widget.name, widget.value]))""")

    def pixels(self) -> np.ndarray:
        """The view's picture, uint8 [height, width, 4]."""
        width, height, text = self.view.evaluate(PIXELS)
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)

    def still(self) -> np.ndarray:
        """The view's picture, int [height, width, 4], when all it asked the server for has come, as sharp as it gets."""
        self.root.locator("canvas[aria-busy=false]").first.wait_for(state="attached")
        self.page.wait(lambda: len({(self.settle(), self.pixels().tobytes())[1] for _ in range(3)}) == 1)
        return self.pixels().astype(int)

    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height of the view in the page."""
        box = self.view.bounding_box()
        assert box is not None, "the view is not shown"
        return box["x"], box["y"], box["width"], box["height"]

    # --- what a hand does: each of these returns when the page has taken it in, so that what is read next is what came of it

    def settle(self) -> None:
        """Until the page has had its frames for what the hand did."""
        self.page.page.evaluate(SETTLED)

    def at(self, across: float, down: float) -> tuple[float, float]:
        """A point of the page, by shares of the view's width and height."""
        x, y, width, height = self.box()
        return x + across * width, y + down * height

    def drag(self, across: float, down: float = 0.0, button: str = "left", key: str | None = None) -> None:
        """Drag from the view's middle by shares of its size, holding a key."""
        mouse, keyboard = self.page.page.mouse, self.page.page.keyboard
        mouse.move(*self.at(0.5, 0.5))
        if key:
            keyboard.down(key)
        mouse.down(button=button)                       # type: ignore[arg-type]
        mouse.move(*self.at(0.5 + across, 0.5 + down), steps=6)
        mouse.up(button=button)                         # type: ignore[arg-type]
        if key:
            keyboard.up(key)
        self.settle()

    def wheel(self, amount: float, key: str | None = None, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Turn the wheel over a point of the view, holding a key: positive as a hand pulls it towards itself."""
        self.page.page.mouse.move(*self.at(*at))
        if key:
            self.page.page.keyboard.down(key)
        self.page.page.mouse.wheel(0, amount)
        if key:
            self.page.page.keyboard.up(key)
        self.settle()

    def focus(self) -> None:
        """Click the view, which takes the keyboard."""
        self.page.page.mouse.click(*self.at(0.5, 0.5))
        self.settle()

    def click(self, name: str) -> None:
        """Click a part of the editor."""
        self.part(name).click()
        self.settle()

    def tab(self, name: str) -> None:
        """Open a tab: pose, expression, light or presets."""
        self.click(f"tab-{name}")

    def type_number(self, name: str, text: str) -> None:
        """Type a value into the number field of a row."""
        field = self.part(f"number-{name}")
        field.fill(text)
        field.press("Enter")
        self.settle()

    @contextlib.contextmanager
    def redrawn(self) -> Iterator[None]:
        """What happens in the block must lead to a new drawing."""
        before = self.drawn()
        yield
        self.page.wait(lambda: self.drawn() > before)

    def wait_values(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Until the widgets satisfy a condition; returns them."""
        self.page.wait(lambda: condition(self.values()), self.values)
        return self.values()

    def wait_same(self, expected: dict[str, Any]) -> None:
        """Until the widgets are as expected."""
        self.page.wait(lambda: self.values() == expected, lambda: {
            name: (value, expected.get(name)) for name, value in self.values().items() if value != expected.get(name)})


def open_editor(page: Frontend, prompt: dict[str, dict] | None = None, node: str | int = 3) -> Editor:
    """Show the graph with its editor in full at zoom 1, and wait until it has drawn a head."""
    page.load_api(prompt or GRAPH)
    page.look_at(node)
    return Editor(page, node).wait_ready()
