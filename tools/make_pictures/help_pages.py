"""Draws web/docs/pictures/<NodeId>.jpg: each node as the frontend shows it, and what it makes.

    python -m tools.make_pictures.help_pages [--browser FILE] [NODE ...]

Run it in the environment that `python dev.py test` makes. It starts a server of its own and drives it with Chromium.
"""
from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from ..devkit import places, server
from .help_results import RESULTS, row_of

PICTURES = places.ROOT / "web" / "docs" / "pictures"
WIDEST = 760                 # pixels of a help picture
RESULT_HEIGHT = 170          # of a result tile
EDGE = 12
SHOWN = {                    # what file lists show where the files are there
    "CapHumanLoadCapFace": "caphuman.ckpt", "CapHumanLoadCLIPVision": "caphuman.ckpt", "CapHumanLoadFaceParser": "79999_iter.pth",
    "CapHumanLoadHeadFitter": "deca_model.tar", "CapHumanLoadIdentityEncoder": "20180402-114759-vggface2.pt",
    "CapHumanLoadHead": "caphuman/head_00001.head.safetensors",
    "CapHumanLoadIdentity": "caphuman/identity_00001.identity.safetensors"}
# The frontend remembers widgets by their node's number, so that each node needs one of its own.
ONE_NODE = """async ([id, shown, number]) => {
  app.graph.clear();
  const node = LiteGraph.createNode(id);
  node.id = number;
  app.graph.add(node);
  if (shown) {
    node.widgets[0].options.values = [shown];
    node.widgets[0].value = shown;
  }
  node.badges.length = 0;
  node.setSize([Math.max(node.size[0], 9 * node.title.length + 60, shown ? 7 * shown.length + 150 : 0), node.size[1]]);
  node.pos = [40, 60];
  app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0];
  app.canvas.setDirty(true, true);
  await new Promise((done) => setTimeout(done, 2500));
  const canvas = document.querySelector('#graph-canvas').getBoundingClientRect();
  const [x, y, width, height] = node.getBounding();
  return {x: canvas.x + x - 8, y: canvas.y + y - 8, width: width + 16, height: height + 16};
}"""
SETTINGS = {"Comfy.VueNodes.Enabled": False, "Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False,
            "Comfy.Workflow.Persist": False, "Comfy.Locale": "en", "Comfy.UseNewMenu": "Disabled"}


def at_most(part: Image.Image, width: int) -> Image.Image:
    return part if part.width <= width else part.resize((width, round(part.height * width / part.width)), Image.Resampling.LANCZOS)


def compose(node: Image.Image, results: Image.Image | None) -> Image.Image:
    """The node above what it makes, on one dark sheet."""
    parts = [at_most(part, width) for part, width in ((node, 420), (results, WIDEST - 2 * EDGE)) if part]
    size = (max(part.width for part in parts) + 2 * EDGE, sum(part.height + EDGE for part in parts) + EDGE)
    sheet = Image.new("RGB", size, "#202124")
    y = EDGE
    for part in parts:
        sheet.paste(part, ((sheet.width - part.width) // 2, y))
        y += part.height + EDGE
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("nodes", nargs="*")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, \
            server.serving(places.OWN_HOST, Path(folder), server.free_port(), cpu=True) as url, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=options.browser, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        page.request.post(f"{url}/api/settings", data=SETTINGS)
        page.goto(url)
        page.wait_for_function("() => window.app?.vueAppReady && window.app.isGraphReady", timeout=90000)
        info = page.request.get(f"{url}/object_info").json()
        for number, name in enumerate(options.nodes or sorted(entry for entry in info if entry.startswith("CapHuman")), 100):
            clip = page.evaluate(ONE_NODE, [name, SHOWN.get(name), number])
            shot = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
            results = row_of(RESULTS[name](), RESULT_HEIGHT) if name in RESULTS else None
            compose(shot, results).save(PICTURES / f"{name}.jpg", quality=82, optimize=True)
            places.say(f"drew {name}")
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
