"""The head editor's speed: a redraw in the browser, bald and with each cut of hair, and a change of expression on
the server, idle and with a busy processor.

    python dev.py benchmark editor

Baselines, side by side: the redraw against the node's own renderer (torch) for the same head, hair and size; vertices against
themselves beside a thread that keeps the processor busy, as a running prompt does. It needs a Chromium.
"""
from __future__ import annotations

import sys
import threading
import time

import head_pictures
import torch

from caphuman_core.head.edit import editor_wire
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.options import HAIR_STYLES
from caphuman_core.render.portrait import sampled
from tools.devkit import browser

SIDE, REPEATS = 256, 60
VALUES = {"yaw_degrees": 20.0, "pitch_degrees": 5.0, "roll_degrees": 0.0, "x": 0.0, "y": 0.0, "scale": 1.3, "jaw_degrees": 5.0,
          "mode": "add", "turn_light": False, "relight": False, "light_azimuth": 30.0, "light_elevation": 25.0,
          "light_intensity": 0.6, "light_ambient": 0.7, "light_colour": "#ffffff"}


def median(times: list[float]) -> float:
    return sorted(times)[len(times) // 2] * 1000


def timed(work) -> float:
    """Median milliseconds of REPEATS calls."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    from playwright.sync_api import sync_playwright
    model = load_builtin()
    head = new_head(model, SIDE, SIDE)
    request = {**editor_wire.head_json(head, model.name), "jaw_degrees": 5.0, "expressions": {"smile": 1.0, "surprise": 0.5}}
    editor = editor_wire.EditorModel(model)
    message = editor_wire.vertices_message(editor, request)
    idle = timed(lambda: editor_wire.vertices_message(editor, request))
    stop = threading.Event()

    def sample() -> None:
        left = torch.randn(768, 768)
        while not stop.is_set():
            left = torch.tanh(left @ left)
    busy_thread = threading.Thread(target=sample)
    busy_thread.start()
    busy = timed(lambda: editor_wire.vertices_message(editor, request))
    stop.set()
    busy_thread.join()
    rows = []
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=str(browser.ready()), args=["--no-sandbox", "--disable-gpu"])
        page = head_pictures.open_bench(running.new_context())
        for style in HAIR_STYLES:
            shown = head_pictures.draw(page, model, head, VALUES, {"smile": 1.0}, SIDE, SIDE, REPEATS, style)
            node = timed(lambda hair=style: sampled(head, model, hair))
            page_ms = shown["milliseconds"]
            rows.append((f"redraw in the page, {style}", f"{page_ms:.1f} ms (fastest {shown['fastest']:.1f}), {shown['triangles']} "
                         f"triangles at {SIDE} px; the node's renderer {node:.1f} ms ({node / page_ms:.1f} times)"))
        running.close()
    rows += [("vertices message, idle", f"{idle:.1f} ms, {len(message)} bytes"),
             ("vertices message beside a busy processor", f"{busy:.1f} ms ({busy / idle:.1f} times idle)")]
    for name, value in rows:
        sys.stdout.write(f"{name}: {value}\n")


if __name__ == "__main__":
    main()
