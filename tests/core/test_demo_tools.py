"""The demo's tools without a server: stand-in weights, the graph's two formats, the progress bar, the contact sheet."""
from __future__ import annotations

import asyncio
import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from tools.demo import contact_sheet, gallery, progress, prompts
from tools.demo import run as demo
from tools.demo.client import Result
from tools.make_workflows import api_form
from tools.stand_ins import sd15_shapes, untrained_weights

# --- stand-in weights

@pytest.mark.parametrize(("network", "values"), [
    # Known parameter counts of the published networks, plus position ids where files carry them.
    (sd15_shapes.text_encoder, 123_060_480 + 77), (sd15_shapes.autoencoder, 83_653_863),
    (sd15_shapes.checkpoint, 859_520_964 + 123_060_480 + 77 + 83_653_863)])
def test_networks_have_their_published_size(network, values):
    assert sum(math.prod(shape) for shape in network().values()) == values


def test_a_weight_follows_from_its_name():
    torch = pytest.importorskip("torch")
    once, again = (untrained_weights.filled("some.layer.weight", (64, 128)) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, untrained_weights.filled("other.layer.weight", (64, 128)))
    assert once.dtype is torch.float16
    # variance 1 / fan-in; 8192 uniform draws put the estimate within 5 % (8 standard errors)
    assert float(once.float().var()) == pytest.approx(1 / 128, rel=0.05)
    assert float(untrained_weights.filled("norm.weight", (64,)).float().mean()) == pytest.approx(1, abs=0.1)
    assert untrained_weights.filled("embeddings.position_ids", (1, 4)).tolist() == [[0, 1, 2, 3]]


@pytest.fixture
def tiny_role(tmp_path, monkeypatch):
    monkeypatch.setattr(untrained_weights, "MODELS", tmp_path / "models")
    return untrained_weights.Role("facenet", "Tiny", lambda: {"a.weight": (2, 3), "b.bias": (2,)}, {"a.weight": (2, 3)})


class Folders:
    """The two calls of the host's folder registry that are used."""

    def __init__(self, folder):
        self.folder = folder

    def get_filename_list(self, _):
        return sorted(path.name for path in self.folder.iterdir())

    def get_full_path(self, _, name):
        return str(self.folder / name)


def test_a_stand_in_is_written_once_and_never_taken_for_real(tiny_role):
    name = untrained_weights.write_stand_in(tiny_role)
    stamp = tiny_role.stand_in.stat().st_mtime_ns
    assert untrained_weights.write_stand_in(tiny_role) == name
    assert tiny_role.stand_in.stat().st_mtime_ns == stamp
    assert [path.name for path in tiny_role.stand_in.parent.iterdir()] == [name]        # nothing half-written beside it
    assert name.startswith("untrained-")
    assert untrained_weights.real_file(tiny_role, Folders(tiny_role.stand_in.parent)) is None


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_real_file_is_known_by_its_weights(tiny_role, tmp_path, suffix):
    import torch
    from safetensors.torch import save_file
    weights = {"a.weight": torch.zeros(2, 3), "b.bias": torch.zeros(2)}
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "a-broken.safetensors").write_bytes(b"broken")
    (folder / "a-broken.ckpt").write_bytes(b"broken")
    save_file({"a.weight": torch.zeros(3, 3)}, str(folder / "another.safetensors"))
    assert untrained_weights.real_file(tiny_role, Folders(folder)) is None
    path = folder / f"any-name{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": weights}, path)
    else:
        save_file(weights, str(path))
    assert untrained_weights.real_file(tiny_role, Folders(folder)) == path.name


# --- the graph

def test_the_shipped_graph_takes_photo_size_and_files():
    weights = {role: {"name": f"{role}.bin", "untrained": role == "capface"} for role in untrained_weights.ROLES}
    prompt = prompts.portrait_prompt("me.png", 384, 640, {**weights, "cpu": True}, {"steps": 3})
    assert prompts.only(prompt, "CapHumanLoadPhoto")["image"] == "me.png"
    assert prompts.only(prompt, "KSampler")["steps"] == 3
    for class_type in ("CapHumanRenderHead", "EmptyLatentImage"):
        assert (prompts.only(prompt, class_type)["width"], prompts.only(prompt, class_type)["height"]) == (384, 640)
    assert prompts.only(prompt, "CheckpointLoaderSimple")["ckpt_name"] == "checkpoint.bin"
    assert prompts.only(prompt, "SaveImage")["filename_prefix"].startswith(prompts.NOISE)
    weights["capface"]["untrained"] = False
    prompt = prompts.portrait_prompt("me.png", 512, 512, weights)
    assert prompts.NOISE not in prompts.only(prompt, "SaveImage")["filename_prefix"]


def test_three_more_heads_are_edited_from_the_fitted_one():
    weights = {role: {"name": role, "untrained": False} for role in untrained_weights.ROLES}
    plain = prompts.portrait_prompt("me.png", 512, 512, weights)
    prompt, previews = prompts.with_edits(plain)
    assert len(previews) == 3
    assert prompt.keys() - plain.keys() >= set(previews)
    assert {key: prompt[key] for key in plain} == plain
    edits = [prompt[node]["inputs"] for node in prompts.nodes_of(prompt, "CapHumanEditHead")]
    assert len(edits) == 4
    assert len({json.dumps(edit) for edit in edits}) == 4
    assert len({json.dumps(edit["head"]) for edit in edits}) == 1
    for (_, change), edit in zip(prompts.EDITS, edits[1:], strict=True):
        assert change.items() <= edit.items()
        assert all(not value for key, value in edit.items() if isinstance(value, float) and key not in (*change, "scale"))


@pytest.mark.parametrize(("photo", "size"), [((512, 512), (512, 512)), ((4000, 3000), (576, 448)), ((300, 900), (320, 896)),
                                             ((1, 1), (512, 512)), ((10, 10000), (128, 2048))])
def test_the_picture_keeps_the_photo_s_shape(photo, size):
    assert prompts.picture_size(*photo) == size


GRAPH = {"nodes": [
    {"id": 1, "type": "Loader", "inputs": [], "widgets_values": ["a.png", "image", 7, "randomize"]},
    {"id": 2, "type": "Reroute", "inputs": [{"name": "", "link": 1}]},
    {"id": 3, "type": "Saver", "title": "Mine", "inputs": [{"name": "images", "link": 2}, {"name": "prefix", "link": None}],
     "widgets_values": ["x"]},
    {"id": 4, "type": "MarkdownNote", "inputs": [], "widgets_values": ["words"]},
    {"id": 5, "type": "Saver", "mode": 2, "inputs": [], "widgets_values": ["x"]}],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]}
INFO = {"Loader": {"display_name": "Load", "input": {"required": {"image": [["a.png"], {"image_upload": True}],
                                                                  "seed": ["INT", {"control_after_generate": True}]}},
                   "input_order": {"required": ["image", "seed"]}},
        "Saver": {"display_name": "Save", "input": {"required": {"images": ["IMAGE"]}, "optional": {"prefix": ["STRING", {}]}},
                  "input_order": {"required": ["images"], "optional": ["prefix"]}}}


def test_a_workflow_becomes_the_prompt_it_queues():
    assert api_form.to_api(GRAPH, INFO) == {
        "1": {"class_type": "Loader", "inputs": {"image": "a.png", "seed": 7}, "_meta": {"title": "Load"}},
        "3": {"class_type": "Saver", "inputs": {"images": ["1", 0], "prefix": "x"}, "_meta": {"title": "Mine"}}}


def test_a_workflow_of_other_nodes_is_refused():
    with pytest.raises(ValueError, match="does not know"):
        api_form.to_api(GRAPH, {"Saver": INFO["Saver"]})
    longer = json.loads(json.dumps(GRAPH))
    longer["nodes"][2]["widgets_values"].append("more")
    with pytest.raises(ValueError, match="more than widgets"):
        api_form.to_api(longer, INFO)


# --- progress and the sheet

def test_without_a_terminal_progress_is_plain_lines(capsys):
    prompt = {"1": {"class_type": "LoadImage"}, "2": {"class_type": "KSampler", "_meta": {"title": "Sampler"}}}
    bar = progress.Bar(prompt)
    state = {"1": {"state": "finished", "value": 1, "max": 1}, "2": {"state": "running", "value": 0, "max": 4}}
    bar("progress_state", {"nodes": state})
    bar("progress_state", {"nodes": {**state, "2": {"state": "running", "value": 2, "max": 4}}})
    bar.close()
    assert capsys.readouterr().out.splitlines() == ["    8% Sampler 0/4"]


def test_on_a_terminal_one_line_is_rewritten(capsys):
    bar = progress.Bar({"1": {"class_type": "KSampler"}})
    bar.live = True
    for value in range(5):
        bar("progress_state", {"nodes": {"1": {"state": "running", "value": value, "max": 4}}})
    out = capsys.readouterr().out
    assert "\n" not in out
    assert out.count("\r") == 5
    assert "100%" in out.split("\r")[-1]


def test_a_file_that_is_no_picture_is_one_sentence(tmp_path):
    (tmp_path / "words.jpg").write_text("words", encoding="utf-8")
    with pytest.raises(ValueError, match=r"words\.jpg") as failure:
        demo.open_photo(str(tmp_path / "words.jpg"))
    assert str(failure.value).endswith(".")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("size", [(256, 256), (192, 320), (384, 160)])
def test_the_contact_sheet_fits_any_shape(size):
    def encoded(shade):
        buffer = io.BytesIO()
        Image.fromarray(np.full((size[1], size[0], 3), shade, np.uint8)).save(buffer, "PNG")
        return buffer.getvalue()
    titles = ["Face taken", "Fitted head over the photo", *contact_sheet.MAPS, "Predicted face mask", "Portrait", "e1", "e2", "e3"]
    prompt = {str(index): {"class_type": "PreviewImage", "_meta": {"title": title}} for index, title in enumerate(titles)}
    result = Result(images={node: [encoded(40 + 20 * int(node))] for node in prompt}, total_seconds=1.0)
    captions = [caption for caption, _ in prompts.EDITS]
    plain, noisy = (contact_sheet.make(prompt, ["7", "8", "9"], result, captions, noise) for noise in (False, True))
    assert plain.size == noisy.size
    colours = {colour for _, colour in noisy.getcolors(1 << 24)} - {colour for _, colour in plain.getcolors(1 << 24)}
    assert (0xA8, 0x48, 0x0F) in colours                # the banner that says UNTRAINED


# --- the gallery

WEIGHTS = {role: {"name": f"{role}.safetensors", "untrained": True} for role in ("checkpoint", "capface", "clip_vision", "facenet")}


@pytest.mark.parametrize("portraits", [False, True])
def test_the_gallery_changes_the_head_and_nothing_before_it(portraits):
    prompt = prompts.portrait_prompt("photo.png", 512, 512, WEIGHTS)
    for title, sheet in gallery.changes().items():
        drawn, shown = gallery.sheet_prompt(prompt, sheet, portraits)
        kinds = [entry["class_type"] for entry in drawn.values()]
        assert list(shown) == list(sheet), title
        assert kinds.count("CapHumanRenderHead") == len(sheet)
        assert kinds.count("CapHumanFitHeadLandmarks") == 1
        assert kinds.count("KSampler") == (len(sheet) if portraits else 0)
        assert kinds.count("CheckpointLoaderSimple") == (1 if portraits else 0)
        sources = {value[0] for entry in drawn.values() for value in entry["inputs"].values() if isinstance(value, list)}
        assert sources <= set(drawn), "a link to a node that is not there"
        for caption, (kind, inputs) in sheet.items():
            changed = [entry["inputs"] for entry in drawn.values() if entry["class_type"] == kind]
            assert any(inputs.items() <= given.items() for given in changed), caption


def test_a_gallery_sheet_shows_every_tile(tmp_path):
    class Result:
        def __init__(self, prompt):
            picture = io.BytesIO()
            Image.new("RGB", (64, 48), "white").save(picture, "PNG")
            self.images = {node: [picture.getvalue()] for node, entry in prompt.items() if entry["class_type"] == "PreviewImage"}

    async def run(prompt):
        return Result(prompt)
    files = asyncio.run(gallery.make(prompts.portrait_prompt("photo.png", 512, 512, WEIGHTS), run, tmp_path, noise=True))
    assert [file.stem for file in files] == ["expressions", "poses", "lights"]
    sizes = [Image.open(file).size for file in files]
    assert sizes[0][1] > sizes[1][1] > sizes[2][1], "more tiles, more rows"
