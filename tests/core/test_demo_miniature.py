"""The demo with the miniature: which files it takes, the graph it makes of the shipped one, its sheet. No server, no weights."""
from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from caphuman_core.check import InputError
from caphuman_train.miniature import files as miniature_files
from caphuman_train.miniature.files import PREFIX, SAID
from caphuman_train.miniature.pack import PARTS, Packed
from tools.demo import branches, miniature, miniature_sheet, models, prompts
from tools.demo.client import Result
from tools.devkit import serve
from tools.stand_ins import untrained_weights

ROLES = ("checkpoint", "capface", "clip_vision", "facenet")
WEIGHTS = {role: {"name": f"{role}.safetensors", "untrained": False} for role in ROLES} | {
    "miniature": {"side": 128, "style": "ink", "styled": "styled.safetensors"}}


# --- a part of a graph again

GRAPH = {"load": {"class_type": "Load", "inputs": {}}, "a": {"class_type": "A", "inputs": {"x": ["load", 0], "n": 1}},
         "b": {"class_type": "B", "inputs": {"x": ["a", 0], "y": ["load", 1]}}, "c": {"class_type": "C", "inputs": {"x": ["a", 0]}}}


def test_a_branch_is_what_hangs_on_the_changed_node_as_far_as_its_ends():
    changed = {"a": {"class_type": "A", "inputs": {"x": ["load", 0], "n": 2}}}
    made = branches.branch(GRAPH, changed, {"seen": ("b", 3)}, "m-")
    assert made == {"m-a": {"class_type": "A", "inputs": {"x": ["load", 0], "n": 2}},
                    "m-b": {"class_type": "B", "inputs": {"x": ["m-a", 0], "y": ["load", 1]}},
                    "m-seen": {"class_type": "PreviewImage", "inputs": {"images": ["m-b", 3]}, "_meta": {"title": "m-seen"}}}
    assert GRAPH["a"]["inputs"]["n"] == 1
    assert list(branches.needed_by({**GRAPH, **made}, {"m-b"})) == ["load", "m-a", "m-b"]


# --- the graph

@pytest.fixture
def told():
    return miniature.story("me.png", "them.png", WEIGHTS)


def source(prompt, node, name):
    return prompt[node]["inputs"][name][0]


def test_every_head_is_sampled_for_both_people_and_in_the_other_style(told):
    rows, count = list(miniature.ROWS), len(miniature.ROWS)
    assert told.rows == rows
    assert count == 4
    assert len(prompts.nodes_of(told.photo, "KSampler")) == 2 * count + 1          # and once without CapFace
    assert len(prompts.nodes_of(told.styled, "KSampler")) == count
    for prompt in (told.photo, told.styled):
        links = {value[0] for entry in prompt.values() for value in entry["inputs"].values() if isinstance(value, list)}
        assert links <= set(prompt), "a link to a node that is not there"
        seeds = {prompt[node]["inputs"]["seed"] for node in prompts.nodes_of(prompt, "KSampler")}
        assert len(seeds) == 1
        sizes = {(entry["inputs"]["width"], entry["inputs"]["height"]) for entry in prompt.values() if "width" in entry["inputs"]}
        assert sizes == {(128, 128)}
    assert prompts.only(told.photo, "CheckpointLoaderSimple")["ckpt_name"] == "checkpoint.safetensors"
    assert prompts.only(told.styled, "CheckpointLoaderSimple")["ckpt_name"] == "styled.safetensors"
    shown = {node for (_, column), node in told.shown.items() if column != miniature.STYLED}
    assert shown <= set(told.photo)
    assert {told.shown[row, miniature.STYLED] for row in rows} <= set(told.styled)


def applied(prompt, shown):
    """The inputs of Apply CapFace behind a shown picture."""
    decode = source(prompt, shown, "images")
    sampler = source(prompt, decode, "samples")
    apply = source(prompt, sampler, "positive")
    return prompt[apply]["inputs"]


def test_another_person_differs_by_the_photo_alone(told):
    photos = set()
    for row in told.rows:
        mine, theirs = (applied(told.photo, told.shown[row, column]) for column in (miniature.OWN, miniature.OTHERS))
        assert mine.keys() == theirs.keys()
        assert {name for name in mine if mine[name] != theirs[name]} == {"identity"}
        loads = [source(told.photo, inputs["identity"][0], "image") for inputs in (mine, theirs)]
        photos.add(tuple(told.photo[load]["inputs"]["image"] for load in loads))
    assert photos == {("me.png", "them.png")}


def test_the_hint_shown_is_the_hint_sampled_and_without_capface_there_is_none(told):
    for row in told.rows:
        inputs = applied(told.photo, told.shown[row, miniature.OWN])
        assert inputs["hint"][0] == source(told.photo, told.shown[row, miniature.HINT], "images")
        (apply,) = [node for node, entry in told.photo.items() if entry["inputs"] is inputs]
        assert told.photo[told.shown[row, miniature.MASK]]["inputs"] == {"mask": [apply, 2]}
        edit = told.photo[source(told.photo, inputs["hint"][0], "head")]["inputs"]
        assert miniature.ROWS[row].items() <= edit.items()
        assert edit["frame"] is True                     # a small face in the photo fills the picture too
    bare = told.photo[source(told.photo, told.shown["", miniature.WITHOUT], "images")]
    sampler = told.photo[bare["inputs"]["samples"][0]]
    texts = [told.photo[sampler["inputs"][end][0]] for end in ("positive", "negative")]
    assert [entry["class_type"] for entry in texts] == ["CLIPTextEncode"] * 2
    assert [entry["inputs"]["text"] for entry in texts] == [miniature.TEXT, ""]


def encoded(colour="grey", side=32):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_output_file_names_and_sheet_say_what_it_is(told, tmp_path, capsys):
    halves = [Result(images={node: [encoded()] for node in prompt}, seconds=dict.fromkeys(prompt, 2.0), total_seconds=60.0)
              for prompt in (told.photo, told.styled)]
    halves[0].images["empty"] = []
    miniature.save(told, halves, WEIGHTS, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names.pop() == "timings.json"
    assert all(name.startswith(PREFIX) for name in names)
    assert len(names) == 4 + 5 * 4 + 1
    facts = json.loads((tmp_path / "out" / "timings.json").read_text(encoding="utf-8"))
    assert facts["said"] == SAID
    assert facts["pictures"] == 13
    assert facts["sampling_seconds"] == 26.0
    assert "26 of them sampling 13 pictures" in capsys.readouterr().out
    sheet = Image.open(tmp_path / "out" / f"{PREFIX}-contact_sheet.png")
    banner = [colour for _, colour in sheet.getcolors(1 << 24)]
    assert (0xA8, 0x48, 0x0F) in banner


def test_the_sheet_has_every_picture_in_its_place():
    rows = ["one", "two"]
    colours = {}
    for number, place in enumerate([("", name) for name in miniature_sheet.LEFT]
                                   + [(row, name) for row in rows for name in miniature_sheet.COLUMNS]):
        colours[place] = (10 * number + 5, 200 - 7 * number, 120)
    sheet = miniature_sheet.make({place: encoded(colour) for place, colour in colours.items()}, rows, "a line", "ink")
    found = {colour for _, colour in sheet.getcolors(1 << 24)}
    assert set(colours.values()) <= found


# --- which files

@pytest.fixture
def chosen(monkeypatch, tmp_path):
    """chosen(real roles, the miniature's weights or an error) -> what is chosen; nothing is written."""
    def stand_in(role):
        return f"untrained-{role.folder}"

    def choose(real, packed):
        def load(path):
            if isinstance(packed, Exception):
                raise packed
            return packed
        names = {role.folder: f"real-{key}" for key, role in untrained_weights.ROLES.items() if key in real}
        monkeypatch.setattr(models, "host_folders", lambda tree: None)
        monkeypatch.setattr(models, "real_file", lambda role, folders: names.get(role.folder))
        monkeypatch.setattr(models, "write_stand_in", stand_in)
        monkeypatch.setattr(models, "MODELS", tmp_path)
        monkeypatch.setattr("caphuman_train.miniature.pack.load_packed", load)
        monkeypatch.setattr(miniature_files, "write_files", lambda packed, folder, say, roles: {
            role: folder / f"{PREFIX}-{role}" for role in roles})
        monkeypatch.setenv("COMFYUI_PATH", "")
        return models.choose(tmp_path)
    return choose


PACKED = Packed(*[{}] * len(PARTS), {"seed": "0", "side": "128", "style": "ink"})


def test_the_miniature_is_taken_whole_where_any_real_file_is_missing(chosen, capsys):
    found = chosen({"checkpoint", "facenet"}, PACKED)
    assert all(found[role]["name"] == f"{PREFIX}-{role}" for role in ROLES)
    assert found["miniature"] == {"side": 128, "style": "ink", "styled": f"{PREFIX}-styled", "text": miniature.TEXT}
    assert not prompts.is_noise(found)
    said = capsys.readouterr().out
    assert SAID in said
    assert "real-checkpoint" in said


def test_real_files_are_taken_where_all_are_there(chosen, capsys):
    found = chosen(set(ROLES), PACKED)
    assert found["miniature"] is None
    assert [found[role]["name"] for role in ROLES] == [f"real-{role}" for role in ROLES]
    assert SAID not in capsys.readouterr().out


def test_without_the_miniature_s_weights_stand_ins_take_their_place_and_one_sentence_says_so(chosen, capsys):
    found = chosen({"facenet"}, InputError("miniature file 'x' must be of format y, but got z: copy it again."))
    assert found["miniature"] is None
    assert prompts.is_noise(found)
    assert found["facenet"] == {"name": "real-facenet", "untrained": False}
    said = [line for line in capsys.readouterr().out.splitlines() if "miniature" in line]
    assert said == ["without the miniature, so with untrained networks: miniature file 'x' must be of format y, but got z: copy it "
                    "again."]


def test_what_was_made_here_is_never_taken_for_real():
    assert PREFIX in untrained_weights.OURS
    assert all(name.split("/")[1].startswith(untrained_weights.OURS) for name in miniature_files.file_names("ink").values())


@pytest.mark.parametrize("facts", [None, {"side": 192, "text": "photo of a person", "style": "ink", "styled": "s"}])
def test_what_is_served_fits_the_miniature(tmp_path, facts):
    (tmp_path / "input").mkdir()
    photo = tmp_path / "me.png"
    photo.write_bytes(encoded())
    serve.lay_out(tmp_path, photo, {**WEIGHTS, "miniature": facts})
    graph = json.loads((tmp_path / "user" / "default" / "workflows" / serve.WORKFLOW.name).read_text(encoding="utf-8"))
    texts = [node["widgets_values"][0] for node in graph["nodes"] if node["type"] == "CLIPTextEncode"]
    sizes = {tuple(node["widgets_values"][:2]) for node in graph["nodes"] if node["type"] in serve.SIZED}
    assert sizes == {(192, 192) if facts else (512, 512)}
    assert (texts == ["photo of a person", ""]) == bool(facts)
