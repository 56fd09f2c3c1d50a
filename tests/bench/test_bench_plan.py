"""Plans: what is read, what is refused, and what is said about it."""
from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest
from bench_plans import GRAPH
from PIL import Image

from caphuman_bench import jobs, people, planner, slots
from caphuman_bench.cli import main
from caphuman_bench.folder import locked
from caphuman_bench.plan import load_plan, records
from caphuman_bench.planner import Sources, make_plan
from caphuman_bench.store import Store
from caphuman_core.check import InputError

PACK = Path(__file__).resolve().parents[2]
PHOTOS = PACK / "tests" / "photos"
GOLDEN = PACK / "tests" / "golden"


@pytest.fixture
def album(tmp_path):
    """Three people: a folder of two photos, a single file, and a folder that also holds what is no picture."""
    folder = tmp_path / "album"
    (folder / "ann").mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(folder / "ann" / "1.jpg")
    turned = Image.new("RGB", (40, 30), "red")
    turned.paste((0, 0, 255), (0, 0, 20, 30))
    exif = turned.getexif()
    exif[people.ORIENTATION] = 6                            # shown turned by 90 degrees clockwise
    turned.save(folder / "ann" / "2.jpg", exif=exif, quality=95)
    Image.new("RGB", (20, 20), "green").save(folder / "bob.png")
    (folder / "cid").mkdir()
    Image.new("L", (20, 20)).save(folder / "cid" / "x.tiff")
    (folder / "cid" / "broken.jpg").write_bytes((folder / "ann" / "1.jpg").read_bytes()[:200])
    (folder / "notes.txt").write_text("no picture")
    (folder / "empty").mkdir()
    return folder


def sources(album, tmp_path, **changes):
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(GRAPH))
    heads = tmp_path / "heads.json"
    heads.write_text(json.dumps({"format": "caphuman-bench-heads/1", "heads": [
        {"key": "front", "values": {}}, {"key": "lit", "values": {"yaw_degrees": 20, "light_azimuth": -60}}]}))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a photo of a person\n\na drawing\n")
    return Sources(**{"photos": album, "prompts": prompts, "heads": heads, "workflow": graph, "samples": 2, "check_faces": "off",
                      **changes})


def test_people_are_sub_folders_and_single_files_and_the_rest_is_noted(album, tmp_path):
    plan = make_plan(tmp_path / "run", sources(album, tmp_path))
    assert [(p.name, len(p.photos)) for p in plan.identities] == [("ann", 2), ("bob", 1), ("cid", 1)]
    assert plan.notes == ("cid/broken.jpg: no picture that can be read, skipped", "empty: a folder without pictures, skipped",
                          "notes.txt: no picture that can be read, skipped")
    assert len(plan) == 3 * 2 * 2 * 2 == len(list(records(plan)))
    assert load_plan(tmp_path / "run") == plan
    for path, digest in plan.hashes.items():
        import hashlib
        assert hashlib.sha256((tmp_path / "run" / path).read_bytes()).hexdigest() == digest


def test_photos_are_stored_upright(album, tmp_path):
    plan = make_plan(tmp_path / "run", sources(album, tmp_path))
    with Image.open(tmp_path / "run" / plan.identity("ann").photos[1]) as picture:
        assert picture.size == (30, 40)
        red, _, blue = picture.convert("RGB").getpixel((15, 5))
        assert blue > 200 > red, "the left half, turned clockwise, is above"


@pytest.mark.parametrize(("given", "name"), [("a/b", "a_b"), ("CON", "_CON"), ("  ", "person"), ("..", "person"),
                                             ("x" * 200, "x" * 80)])
def test_names_are_folder_names_on_any_system(given, name):
    assert people.free_name(given, set()) == name


def test_a_persons_folder_gives_its_first_photos_and_says_what_was_left_out(tmp_path, monkeypatch):
    folder = tmp_path / "album" / "ann"
    (folder / "older").mkdir(parents=True)
    for number in range(30):
        Image.new("RGB", (8, 8)).save(folder / f"{number:02}.png")
    os.mkfifo(tmp_path / "album" / "pipe.png")                  # reading it would wait for ever
    read, plain = [], people.upright
    monkeypatch.setattr(people, "upright", lambda path: read.append(path) or plain(path))
    found = people.read_people(tmp_path / "album", tmp_path / "run", 3)
    assert [len(entry.photos) for entry in found.entries] == [3]
    assert len(read) == 3, "a person may have thousands"
    assert found.notes == ["ann/older: a folder within a person's folder, not looked into",
                           "ann: 30 files, the first 3 photos are taken and the last 27 files left out",
                           "pipe.png: no picture that can be read, skipped"]


def test_repeated_prompts_are_noted_and_other_encodings_refused(album, tmp_path):
    (tmp_path / "p.txt").write_bytes("a photo\na photo\n".encode("utf-8-sig"))
    plan = make_plan(tmp_path / "run", sources(album, tmp_path, prompts=tmp_path / "p.txt"))
    assert [(prompt.key, prompt.text) for prompt in plan.prompts] == [("a_photo", "a photo"), ("a_photo~2", "a photo")]
    assert plan.notes[-1] == "prompt 'a photo': stands 2 times in the list and counts as often"
    (tmp_path / "p.txt").write_bytes("a photo\n".encode("utf-16"))
    with pytest.raises(InputError, match="must be UTF-8 text"):
        planner.read_prompts(tmp_path / "p.txt")


def test_names_differ_without_regard_to_case():
    taken = set()
    assert [people.free_name(name, taken) for name in ("Ann", "ann", "ANN")] == ["Ann", "ann~2", "ANN~3"]


def test_photos_with_two_faces_or_none_are_noted_and_do_not_lead(tmp_path):
    folder = tmp_path / "album" / "man"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes((GOLDEN / "face_photo_two_faces.png").read_bytes())
    (folder / "2.png").write_bytes((GOLDEN / "face_photo_no_face.png").read_bytes())
    (folder / "3.jpg").write_bytes((PHOTOS / "man_b_1.jpg").read_bytes())
    detector, notes = people.face_counter("on", None)
    found = people.read_people(tmp_path / "album", tmp_path / "run", detector=detector)
    assert notes == []
    assert found.notes == ["man/1.png: 2 faces found", "man/2.png: no faces found",
                           "man: man/3.jpg is the reference, as the first photo with one face"]
    assert (tmp_path / "run" / found.entries[0].reference).read_bytes() == (PHOTOS / "man_b_1.jpg").read_bytes()


def test_seeds_and_images_of_one_person_do_not_depend_on_the_others(album, tmp_path):
    plan = make_plan(tmp_path / "run", sources(album, tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    (other / "bob.png").write_bytes((album / "bob.png").read_bytes())
    alone = make_plan(tmp_path / "run2", sources(other, tmp_path))
    assert [r.seed for r in records(plan) if r.identity == "bob"] == [r.seed for r in records(alone)]
    assert len({r.seed for r in records(plan)}) == len(plan)


def test_heads_of_a_person_and_prompt_may_share_their_noise(album, tmp_path):
    plain = make_plan(tmp_path / "run", sources(album, tmp_path))
    plan = make_plan(tmp_path / "run2", sources(album, tmp_path, same_noise=True))
    seeds = {(r.identity, r.prompt, r.sample, r.seed) for r in records(plan)}
    assert len(seeds) == len(plan) / len(plan.heads) == len({seed for *_, seed in seeds})
    assert load_plan(tmp_path / "run2") == plan
    assert plan.digest != plain.digest
    with pytest.raises(InputError, match="must not hold another plan"):
        make_plan(tmp_path / "run", sources(album, tmp_path, same_noise=True))
    assert "same_noise" not in (tmp_path / "run" / "plan.json").read_text(encoding="utf-8"), "older plans stay what they were"


def test_a_plan_is_made_once_and_a_cut_off_one_again(album, tmp_path):
    first = make_plan(tmp_path / "run", sources(album, tmp_path))
    assert make_plan(tmp_path / "run", sources(album, tmp_path)) == first
    with pytest.raises(InputError, match="must not hold another plan"):
        make_plan(tmp_path / "run", sources(album, tmp_path, samples=3))
    assert load_plan(tmp_path / "run") == first
    (tmp_path / "run" / "plan.json").unlink()                # written last
    assert make_plan(tmp_path / "run", sources(album, tmp_path, samples=3)).samples == 3


def test_bad_input_is_refused_in_one_sentence(album, tmp_path):
    with pytest.raises(InputError, match=r"photos '.*' must be a folder, but got nothing there"):
        make_plan(tmp_path / "run", sources(tmp_path / "none", tmp_path))
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="must hold pictures of people, but got none"):
        make_plan(tmp_path / "run", sources(tmp_path / "bare", tmp_path))
    with pytest.raises(InputError, match="must be new or hold a run, but got one with album"):
        make_plan(tmp_path, sources(album, tmp_path))
    with pytest.raises(InputError, match="samples must be from 1 to 1000, but got 0"):
        make_plan(tmp_path / "run", sources(album, tmp_path, samples=0))


def test_slots_come_from_titles_and_from_the_command_line():
    found = slots.find_slots(GRAPH, {"image": "3"})
    assert found["identity"][0] == slots.SlotTarget("1", "image", "")
    assert found["head"][0] == slots.SlotTarget("2", "", "values")
    assert found["seed"][0].input == "seed"
    given = slots.find_slots(GRAPH, {"head": "1.image:picture,2"})
    assert [target.form for target in given["head"]] == ["picture", "values"]


def test_a_graph_that_takes_neither_person_nor_head_is_measured_too(album, tmp_path):
    """Others' graphs, as baselines: what chance gives."""
    plan = make_plan(tmp_path / "run", sources(album, tmp_path, slots=(("head", "none"), ("identity", "none"))))
    assert plan.slots["head"] == plan.slots["identity"] == ()
    assert load_plan(tmp_path / "run").slots == plan.slots
    record = next(iter(records(plan)))
    assert jobs.inputs_of(plan, record) == []
    prompt = jobs.prompt_of(plan, record, {})
    assert prompt["1"]["inputs"] == GRAPH["1"]["inputs"]
    assert prompt["2"]["inputs"]["seed"] == record.seed


def test_slots_are_found_on_nodes_within_subgraphs():
    """Whose numbers have a colon in API workflows."""
    graph = {"57:1": GRAPH["1"], "57:2": GRAPH["2"], "3": GRAPH["3"]}
    found = slots.find_slots(graph, {})
    assert found["identity"] == (slots.SlotTarget("57:1", "image", ""),)
    given = slots.find_slots(graph, {"head": "57:1:picture,57:1.image:file,57:2:values", "prompt": "57:2.text"})
    assert [(one.node, one.form) for one in given["head"]] == [("57:1", "picture"), ("57:1", "file"), ("57:2", "values")]


def test_a_slot_that_is_given_twice_stands_on_both_nodes(album, tmp_path):
    plan = make_plan(tmp_path / "run", sources(album, tmp_path, slots=(("head", "1.image:picture"), ("head", "2"))))
    assert [target.form for target in plan.slots["head"]] == ["picture", "values"]


@pytest.mark.parametrize(("titles", "given", "message"), [
    ({"1": "Photo"}, {}, "must have the slots identity, prompt, head, seed, but got only head, prompt, seed: title a node "
                         "'slot:identity' or pass --slot identity=NODE.INPUT [(]identity=none if it takes none[)]; "
                         "its nodes are 1 LoadImage, 2 Sampler, 3 SaveImage"),
    ({}, {"prompt": "9.text"}, "slot prompt must be on a node of the workflow, but got node '9'"),
    ({}, {"prompt": "2.words"}, "slot prompt must be on a widget of the node, but got '2.words', which is not among text, seed"),
    ({}, {"prompt": "3.images"}, "which is connected to another node"),
    ({}, {"pose": "2"}, "slots must be among identity, prompt, head, seed, image, but got pose"),
    ({}, {"head": "1:values"}, "node with the widgets of Edit Head to take values, but got node 1 [(]LoadImage[)]"),
    ({}, {"seed": "none"}, "slot seed must be on a node of the workflow, but got node 'none'"),
    ({}, {"seed": "1"}, "slot seed must name an input, but got node 1 [(]LoadImage[)] with none that fits"),
])
def test_missing_and_wrong_slots_are_named(titles, given, message):
    graph = {key: {**node, "_meta": {"title": titles.get(key, node["_meta"]["title"])}} for key, node in GRAPH.items()}
    with pytest.raises(InputError, match=message):
        slots.find_slots(graph, given)


@pytest.mark.parametrize(("text", "message"), [
    ("{", "must be JSON"), ('{"nodes": [], "links": []}', "must be in API form, but got a workflow as the editor saves it"),
    ("{}", "but got an empty file"), ('{"1": {}}', "no node at 1")])
def test_other_files_than_api_workflows_are_refused(text, message, tmp_path):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(InputError, match=message):
        slots.read_workflow(tmp_path / "w.json")


def test_heads_come_in_the_form_that_the_graph_takes(album, tmp_path):
    """A condition of values as head file and picture; a photo as picture and fitted head; and each where the slot asks for it."""
    from caphuman_core.head.storage import load_head
    heads = tmp_path / "heads"
    heads.mkdir()
    (heads / "him.jpg").write_bytes((PHOTOS / "man_b_1.jpg").read_bytes())
    plan = make_plan(tmp_path / "run", sources(album, tmp_path))
    saved = tmp_path / "run" / plan.head("lit").file
    (heads / "mine.head.safetensors").write_bytes(saved.read_bytes())
    with pytest.raises(InputError, match="'him' must have the form 'values' that the slot head takes, but got a photo"):
        make_plan(tmp_path / "run2", sources(album, tmp_path, heads=heads))
    asked = make_plan(tmp_path / "run2", sources(album, tmp_path, heads=heads, slots=(("head", "2.text:file,1.image:picture"),)))
    assert [(head.key, head.kind) for head in asked.heads] == [("him", "photo"), ("mine", "file")]
    fitted = load_head(tmp_path / "run2" / asked.head("him").file)
    assert abs(float(fitted.rotation_radians.norm())) < 1.0
    with Image.open(tmp_path / "run2" / asked.head("mine").picture) as drawn:
        assert drawn.size == (512, 512)
    record = next(r for r in records(asked) if r.head == "him")
    names = {path: jobs.upload_name(asked, path) for path in jobs.inputs_of(asked, record)}
    prompt = jobs.prompt_of(asked, record, names)
    assert prompt["1"]["inputs"]["image"] == names[asked.head("him").picture]
    assert prompt["2"]["inputs"]["text"].endswith(".head.safetensors")
    assert GRAPH["2"]["inputs"]["text"] == "", "the plan's own graph is left alone"


def test_the_tools_own_graph_and_lists_make_the_papers_benchmark(tmp_path):
    workflow = slots.read_workflow(planner.WORKFLOW)
    found = slots.find_slots(workflow, {})
    assert {name: [workflow[t.node]["class_type"] for t in targets] for name, targets in found.items()} == {
        "identity": ["LoadImage"], "prompt": ["CLIPTextEncode"], "head": ["CapHumanLoadHead"], "seed": ["KSampler"],
        "image": ["SaveImage"]}
    assert found["head"][0].form == "file"
    from caphuman_bench.lists import load_conditions, load_prompts
    assert (len(load_prompts()), len(load_conditions())) == (35, 10)


def test_plan_says_how_many_how_long_and_how_much_disk(album, tmp_path, capsys):
    run = tmp_path / "run"
    make_plan(run, sources(album, tmp_path))
    command = ["plan", str(run), "--photos", str(album), "--prompts", str(tmp_path / "prompts.txt"), "--check-faces", "off",
               "--heads", str(tmp_path / "heads.json"), "--workflow", str(tmp_path / "graph.json"), "--samples", "2"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "24 images: 3 people x 2 heads x 2 prompts x 2 samples" in said
    assert "not known yet; --probe --server URL" in said
    with Store.open(run) as store:
        store.put_info("probe", {"cold_seconds": 60.0, "unit_seconds": 10.0, "image_seconds": 5.0, "bytes": 1e6})
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "time: about 3.33 min on 1 server" in said            # (60 - 10) + 6 units x 10 + 18 x 5 s
    assert "disk: about 24." in said                             # 24 MB of images and a little for the inputs


def test_two_plans_into_one_folder_at_once_are_told_apart(album, tmp_path, capsys):
    sources(album, tmp_path)
    with locked(tmp_path / "run", "plan"):
        assert main(["plan", str(tmp_path / "run"), "--photos", str(album)]) == 1
    assert "must be free, but got a folder in use by 'plan'" in capsys.readouterr().err


def test_the_pack_does_not_import_the_benchmark():
    for path in [PACK / "__init__.py", *(PACK / "nodes").rglob("*.py"), *(PACK / "caphuman_core").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(
                node, ast.ImportFrom) else []
            assert not any("caphuman_bench" in name for name in names), path
