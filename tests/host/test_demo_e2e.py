"""The demo's graph in the real server, over HTTP: a picture comes out, progress is told, bad input is answered in a sentence.

One server for all of it. Networks are untrained and narrow, so sampled pictures are noise.
"""
from __future__ import annotations

import asyncio
import copy
import io
import json
import struct
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.demo import contact_sheet, progress, prompts
from tools.demo import run as demo
from tools.demo.client import Client, Refused
from tools.devkit import places, server
from tools.make_workflows import api_form
from tools.stand_ins import narrow_files

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
SIZE, STEPS = 256, 2


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The server's folder."""
    folder = tmp_path_factory.mktemp("server")
    narrow_files.add_node(folder)
    return folder


@pytest.fixture(scope="module")
def weights(base):
    """Untrained stand-ins by role, whatever real files the machine has."""
    return {key: {"name": path.name, "untrained": True} for key, path in narrow_files.write_portrait(base / "models").items()}


@pytest.fixture(scope="module")
def url(weights, base):
    """Address of a running server with this pack."""
    tree = places.host_tree()
    with server.serving(tree, base, server.free_port(), cpu=True) as address:
        yield address


def submit(url, prompt, on_event=None):
    async def go():
        async with Client(url) as client:
            return await client.run(prompt, on_event)
    return asyncio.run(go())


def upload(url, photo, name):
    async def go():
        async with Client(url) as client:
            return await client.upload(photo, name)
    return asyncio.run(go())


def good_prompt(url, weights, sampling=None):
    """The demo's prompt for the astronaut."""
    name = upload(url, GOLDEN / "face_photo_astronaut.png", "astronaut.png")
    return prompts.portrait_prompt(name, SIZE, SIZE, weights, sampling)


@pytest.fixture(scope="module")
def object_info(url):
    with urllib.request.urlopen(f"{url}/object_info") as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def portrait(url, weights):
    """The demo's prompt at 256 x 256 with 2 steps, run: (prompt, ids of the edited heads' previews, result, bar)."""
    prompt, previews = prompts.with_edits(good_prompt(url, weights, {"steps": STEPS}))
    shares = []
    bar = progress.Bar(prompt)
    bar.live = False
    percent = bar.percent
    bar.percent = lambda share, total: shares.append(share / total) or percent(share, total)
    result = submit(url, prompt, bar)
    return prompt, previews, result, shares


def picture(result, prompt, title):
    (node,) = [node for node, entry in prompt.items() if entry["_meta"]["title"] == title]
    return Image.open(io.BytesIO(result.images[node][0]))


# --- the graph

def test_the_saved_picture_comes_back_with_its_graph(portrait):
    prompt, _, result, _ = portrait
    saved = picture(result, prompt, "Portrait")
    assert saved.size == (SIZE, SIZE)
    assert np.asarray(saved).std() > 10                 # noise of the stand-ins, not a blank or broken picture
    assert json.loads(saved.info["prompt"]).keys() == prompt.keys()
    (save,) = prompts.nodes_of(prompt, "SaveImage")
    assert result.files[save][0]["filename"].startswith(prompts.NOISE)


def test_every_picture_before_the_sampler_is_there(portrait):
    prompt, previews, result, _ = portrait
    photo = Image.open(GOLDEN / "face_photo_astronaut.png").convert("RGB")
    for title in ("Face taken", "Fitted head over the photo"):
        shown = picture(result, prompt, title).convert("RGB")
        assert shown.size == photo.size
        changed = (np.asarray(shown) != np.asarray(photo)).any(-1).mean()
        assert 0 < changed < 0.5, title                 # drawn upon, and still the photo
    maps = [picture(result, prompt, title) for title in ("Normals", "Albedo", "Shaded")]
    heads = [Image.open(io.BytesIO(result.images[node][0])) for node in previews]
    for drawn in maps + heads:
        assert drawn.size == (SIZE, SIZE)
        covered = (np.asarray(drawn.convert("RGB")).max(-1) > 8).mean()
        assert 0.005 < covered < 0.5                    # the astronaut's head, not nothing and not everything
    assert len({drawn.tobytes() for drawn in maps + heads}) == 6
    assert picture(result, prompt, "Predicted face mask").size == (SIZE, SIZE)


def test_progress_is_told_from_beginning_to_end(portrait):
    prompt, _, result, shares = portrait
    kinds = [kind for kind, _ in result.events]
    assert kinds[0] == "execution_start"
    assert kinds.index("execution_success") < len(kinds) - 1
    assert result.events[-1][1]["node"] is None
    (sampler,) = prompts.nodes_of(prompt, "KSampler")
    told = [data["nodes"][sampler] for kind, data in result.events if kind == "progress_state" and sampler in data["nodes"]]
    steps = [state["value"] for state in told if state["max"] == STEPS]
    assert steps == sorted(steps)
    assert steps[-1] == STEPS
    assert told[-1]["state"] == "finished"
    assert shares == sorted(shares)
    assert set(result.seconds) == set(prompt)


def test_the_contact_sheet_tells_the_story(portrait, tmp_path):
    prompt, previews, result, _ = portrait
    demo.save(prompt, previews, result, tmp_path / "out", noise=True)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert "contact_sheet.png" in names
    assert any(prompts.NOISE in name for name in names)
    timings = json.loads((tmp_path / "out" / "timings.json").read_text(encoding="utf-8"))
    assert timings["untrained"] is True
    assert timings["total_seconds"] >= max(timings["node_seconds"].values())
    sheet = Image.open(tmp_path / "out" / "contact_sheet.png")
    assert sheet.width > sheet.height > 1000
    timed = {class_type for classes in contact_sheet.STAGES.values() for class_type in classes}
    assert timed <= {entry["class_type"] for entry in prompt.values()}


def test_the_api_twin_is_the_workflow(object_info):
    for path in sorted((ROOT / "workflows").glob("*.json")):
        twin = json.loads((ROOT / "workflows" / "api" / path.name).read_text(encoding="utf-8"))
        workflow = json.loads(path.read_text(encoding="utf-8"))
        assert api_form.to_api(workflow, object_info) == twin, f"{path.name}: run python dev.py generate"


def test_the_server_s_log_has_no_error(portrait, base):
    log = (base / "server.log").read_text(encoding="utf-8", errors="replace")
    assert "comfyui-caphuman" in log                    # the pack is among the import times
    assert "IMPORT FAILED" not in log
    wrong = [line for line in log.splitlines() if "ERROR" in line or "Traceback" in line or "unexpected" in line.lower()]
    assert wrong == []


# --- bad input: one sentence each, and the server goes on

def before_sampling(prompt):
    """The prompt without what follows the conditioning: fast, and every node of ours still runs."""
    prompt = copy.deepcopy(prompt)
    for class_type in ("KSampler", "VAEDecode", "SaveImage", "EmptyLatentImage"):
        for node in prompts.nodes_of(prompt, class_type):
            del prompt[node]
    return prompt


def astronaut():
    return Image.open(GOLDEN / "face_photo_astronaut.png").convert("RGB")


def three_faces():
    face = astronaut().crop((150, 0, 320, 220))
    row = Image.new("RGB", (3 * face.width, face.height))
    for index in range(3):
        row.paste(face, (index * face.width, 0))
    return row


PICTURES = {
    "no face": (lambda: Image.open(GOLDEN / "face_photo_no_face.png"), "face"),
    "three faces": (three_faces, None),                 # the largest is taken
    "one pixel": (lambda: Image.new("RGB", (1, 1), "pink"), "face"),
    "RGBA": (lambda: astronaut().convert("RGBA"), None),
    "grey": (lambda: astronaut().convert("L"), None),
    "a face of 40 pixels": (lambda: astronaut().resize((160, 160), Image.Resampling.LANCZOS), None),
}


def assert_one_sentence(text):
    assert "\n" not in text, text
    assert "Traceback" not in text, text
    assert " but got " in text, text                    # name, rule, what came: what to do
    assert text.endswith("."), text


def assert_still_serving(url):
    with urllib.request.urlopen(f"{url}/system_stats") as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{url}/queue") as answer:
        queue = json.load(answer)
    assert queue == {"queue_running": [], "queue_pending": []}


THOROUGH = ("RGBA", "grey")                            # asked of the nodes in process, too (test_faces.py)


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.thorough if case in THOROUGH else ()) for case in PICTURES])
def test_an_odd_photo_gives_a_picture_or_one_sentence(url, weights, tmp_path, case):
    make, expected = PICTURES[case]
    make().save(tmp_path / "odd.png")
    name = upload(url, tmp_path / "odd.png", f"odd {case}.png")
    prompt = before_sampling(prompts.portrait_prompt(name, SIZE, SIZE, weights))
    if expected is None:
        result = submit(url, prompt)
        assert (np.asarray(picture(result, prompt, "Normals").convert("RGB")).max(-1) > 8).mean() > 0.005
    else:
        with pytest.raises(Refused, match=expected) as refused:
            submit(url, prompt)
        assert_one_sentence(str(refused.value))
    assert_still_serving(url)


def test_a_corrupt_picture_is_refused(url, weights, tmp_path):
    data = (GOLDEN / "face_photo_astronaut.png").read_bytes()
    (tmp_path / "corrupt.png").write_bytes(b"not a picture" + data[:500])
    name = upload(url, tmp_path / "corrupt.png", "corrupt.png")
    with pytest.raises(Refused, match="must be a picture that can be read") as refused:
        submit(url, before_sampling(prompts.portrait_prompt(name, SIZE, SIZE, weights)))
    assert_one_sentence(str(refused.value))
    assert_still_serving(url)


@pytest.mark.parametrize(("class_type", "name", "folder"), [
    ("CapHumanLoadCapFace", "capface_name", "capface"), ("CapHumanLoadIdentityEncoder", "model_name", "facenet"),
    ("CapHumanLoadHeadModel", "head_model_name", "flame")])
def test_a_missing_model_file_is_named(url, weights, class_type, name, folder):
    prompt = before_sampling(good_prompt(url, weights))
    prompts.only(prompt, class_type)[name] = "gone.safetensors"
    with pytest.raises(Refused, match=r"gone\.safetensors") as refused:
        submit(url, prompt)
    assert_one_sentence(str(refused.value))
    assert folder in str(refused.value)
    assert_still_serving(url)


def test_a_wrong_file_in_the_right_folder_is_told(url, weights, base):
    prompt = before_sampling(good_prompt(url, weights))
    wrong = base / "models" / "capface" / "untrained-not-capface.safetensors"
    wrong.write_bytes((places.MODELS / "facenet" / weights["facenet"]["name"]).read_bytes())
    try:
        prompts.only(prompt, "CapHumanLoadCapFace")["capface_name"] = wrong.name
        with pytest.raises(Refused, match="CapFace") as refused:
            submit(url, prompt)
        assert_one_sentence(str(refused.value))
    finally:
        wrong.unlink()
    assert_still_serving(url)


SDXL_UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4], "transformer_depth": [0, 0, 2, 2, 10, 10], "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "num_heads": -1, "num_head_channels": 64, "context_dim": 2048,
    "use_linear_in_transformer": True, "adm_in_channels": 2816, "num_classes": "sequential", "use_spatial_transformer": True,
    "legacy": False}


def write_sdxl(path):
    """A file that the host takes for SDXL: the weights it looks at, at their real shapes, all zero (a hole in the file, so it
    occupies almost no disk)."""
    import comfy.ops
    import torch
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    network = UNetModel(**SDXL_UNET, device="meta", dtype=torch.float16, operations=comfy.ops.disable_weight_init)
    unseen = ("attn1", "to_q", "to_v", "to_out", "ff.", "in_layers.2")
    header, end = {}, 0
    for key, value in network.state_dict().items():
        if not any(part in key for part in unseen):
            begin, end = end, end + value.numel() * 2
            header[f"model.diffusion_model.{key}"] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def test_an_sdxl_checkpoint_is_refused_by_name(url, weights, base):
    wrong = base / "models" / "checkpoints" / "untrained-sdxl-for-a-test.safetensors"
    write_sdxl(wrong)
    try:
        prompt = before_sampling(good_prompt(url, weights))
        prompt["sdxl"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": wrong.name}, "_meta": {"title": "SDXL"}}
        prompts.only(prompt, "CapHumanApplyCapFace")["model"] = ["sdxl", 0]
        with pytest.raises(Refused, match="SDXL") as refused:
            submit(url, prompt)
        assert_one_sentence(str(refused.value))
        assert "Stable Diffusion 1.5" in str(refused.value)
    finally:
        wrong.unlink()
    assert_still_serving(url)


@pytest.mark.thorough
def test_the_server_still_draws_after_all_that(url, weights):
    """Last in this file: refusals have left nothing behind that spoils a good prompt."""
    prompt = good_prompt(url, weights, {"steps": 1, "cfg": 1.0, "seed": 7})
    result = submit(url, prompt)
    assert np.asarray(picture(result, prompt, "Portrait")).std() > 10
