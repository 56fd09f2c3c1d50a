"""A workflow from a stranger: whatever its texts and file names say, nothing outside the host's folders is read or written."""
from __future__ import annotations

import builtins
import importlib
import json
import os
import re
import sys
from pathlib import Path

import pytest

OUTSIDER = "outsider.head.safetensors"
HOSTILE = ("../" + OUTSIDER, "..\\" + OUTSIDER, "sub/../../" + OUTSIDER, "/etc/passwd", "C:\\Windows\\win.ini",
           "C:" + OUTSIDER,
           "\\\\server\\share\\x", "//server/share/x", "x\0.safetensors", "x\n.safetensors", "", ".", "..", "a" * 5000,
           "../" + OUTSIDER + " [output]",
           "../" + OUTSIDER + " [input]", "../" + OUTSIDER + " [temp]", "/etc/passwd [output]", "http://example.com/x.safetensors",
           "file:///etc/passwd", "linked/" + OUTSIDER,
           "linked/" + OUTSIDER + " [output]", "~/.ssh/id_rsa", "$HOME/x", "aux", "\u202egnp.exe", "\uff0e\uff0e/" + OUTSIDER,
           "..%2f" + OUTSIDER, "linked/../../" + OUTSIDER)
NO_TEXT = (None, 5, True)     # the host lets any JSON value pass where a node checks its choices itself


@pytest.fixture(scope="module")
def pack_module(pack):
    """pack_module("nodes.host") -> that module of the pack, as the host has named it."""
    return lambda name: importlib.import_module(f"{pack.__name__}.{name}")


@pytest.fixture
def outside(host, tmp_path):
    """A folder beside the host's own with a file that must not be touched, linked into input, output and a model folder."""
    import folder_paths
    place = tmp_path / "outside"
    place.mkdir()
    (place / OUTSIDER).write_bytes(b"secret")
    links = [Path(folder, "linked") for folder in (folder_paths.get_input_directory(), folder_paths.get_output_directory())]
    for folder in {link.parent.parent for link in links}:
        (folder / OUTSIDER).write_bytes(b"secret")
    for link in links:
        link.symlink_to(place, target_is_directory=True)
    yield place
    for link in links:
        link.unlink()
    assert sorted(place.iterdir()) == [place / OUTSIDER]
    assert (place / OUTSIDER).read_bytes() == b"secret"


@pytest.fixture
def touched(monkeypatch):
    """Paths opened or made while the test runs, beyond Python's own files."""
    seen: list[str] = []
    real_open, real_mkdir = builtins.open, os.mkdir

    def note(path):
        text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if text and "site-packages" not in text and not text.startswith(sys.prefix):
            seen.append(text)

    def watched_open(path, *rest, **more):
        note(path)
        return real_open(path, *rest, **more)

    def watched_mkdir(path, *rest, **more):
        note(path)
        return real_mkdir(path, *rest, **more)
    monkeypatch.setattr(builtins, "open", watched_open)
    monkeypatch.setattr(os, "mkdir", watched_mkdir)
    return seen


def text_inputs(pack):
    """(node class, input id) of every text and every choice of a node of the pack."""
    nodes = sys.modules[f"{pack.__name__}.nodes"].all_nodes()
    return [(node, entry) for node in nodes for entry in node.GET_SCHEMA().inputs if entry.io_type in ("STRING", "COMBO")]


FILES = ("name", "filename_prefix", "model_name", "head_model_name", "capface_name")


@pytest.mark.parametrize("name", [*HOSTILE, *NO_TEXT], ids=lambda name: repr(name)[:40])
def test_hostile_file_names_are_refused_and_nothing_is_touched(pack, pack_module, outside, touched, name):
    refusal = pack_module("caphuman_core.check").InputError
    tried = 0
    for node, entry in text_inputs(pack):
        if entry.id not in FILES or node.__name__ in ("SaveHead", "SaveIdentity"):
            continue
        arguments = {"backend": "insightface"} if node.__name__ == "LoadFaceDetector" else {}
        node.fingerprint_inputs(**arguments, **{entry.id: name})
        with pytest.raises(refusal) as caught:
            node.execute(**arguments, **{entry.id: name})
        # Refused for its name, not for what a file it led to holds: readers in other languages escape `touched`.
        assert re.search(r"must be in the models folder|in the input or output folder|needs a model pack", str(caught.value))
        assert "\n" not in str(caught.value)
        tried += 1
    assert tried >= 8
    assert not [path for path in touched if OUTSIDER in path or path.startswith(("/etc", "//"))]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("aux", "$HOME/x", "~/.ssh/id_rsa", ".")])
@pytest.mark.parametrize("suffix", [".head.safetensors", ".identity.safetensors"])
def test_saving_stays_in_the_output_folder(pack_module, outside, name, suffix):
    import folder_paths
    host = pack_module("nodes.host")
    before = sorted(Path(folder_paths.get_output_directory()).parent.rglob("*"))
    try:
        with host.new_output_file(name, suffix) as path:       # a strange name inside the folder is the user's own matter
            assert path.resolve().is_relative_to(Path(folder_paths.get_output_directory()).resolve()), path
    except pack_module("caphuman_core.check").InputError:
        pass
    after = sorted(Path(folder_paths.get_output_directory()).parent.rglob("*"))
    assert [path for path in after if path not in before and not path.is_relative_to(folder_paths.get_output_directory())] == []


def test_two_servers_on_one_folder_never_take_the_same_name(pack_module, monkeypatch):
    """The other server saves between this one's look at the folder and its own save."""
    import folder_paths
    host = pack_module("nodes.host")
    real = folder_paths.get_save_image_path

    def late(prefix, output):
        answer = real(prefix, output)
        monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter(()))          # what the folder held a moment ago: nothing
        return answer
    with host.new_output_file("race/head", ".head.safetensors") as first:
        first.write_bytes(b"theirs")
    monkeypatch.setattr(folder_paths, "get_save_image_path", late)
    with host.new_output_file("race/head", ".head.safetensors") as second:
        second.write_bytes(b"ours")
    monkeypatch.undo()
    assert (first.read_bytes(), second.read_bytes()) == (b"theirs", b"ours")


def test_a_save_that_fails_leaves_nothing_behind(pack_module):
    host = pack_module("nodes.host")
    with pytest.raises(OSError, match="full"), host.new_output_file("failed/head", ".head.safetensors") as path:
        raise OSError("the disk is full")
    assert list(path.parent.iterdir()) == []


def test_choices_that_are_not_on_the_list_do_not_pass_the_host(pack, run):
    """Choices that name no file are left to the host, which refuses what is not on their list."""
    checked = 0
    for node, entry in text_inputs(pack):
        if entry.io_type == "COMBO" and entry.id not in FILES:
            prompt = {"1": {"class_type": node.GET_SCHEMA().node_id, "inputs": {entry.id: "../../etc/passwd"}}}
            result = run({**prompt, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}})
            assert not result["valid"] or not result["success"], (node, entry.id)
            checked += 1
    assert checked >= 5


def test_shared_files_are_small_or_are_not_read(pack_module, tmp_path):
    refusal = pack_module("caphuman_core.check").InputError
    for module, load, limit in (("head.storage", "load_head", 256 << 20), ("identity.storage", "load_identity", 256 << 20)):
        storage = pack_module(f"caphuman_core.{module}")
        path = tmp_path / "big.safetensors"
        with path.open("wb") as file:
            file.truncate(limit + 1)                   # a hole: takes no room
        with pytest.raises(refusal, match="at most"):
            getattr(storage, load)(path)
        assert limit == storage.MAX_BYTES


def test_a_retired_node_id_still_loads(host, pack_module, run, monkeypatch):
    """The host puts the new id, its inputs and outputs in place of the old ones in a prompt of an older version."""
    import asyncio
    import types

    import server
    from app import node_replace_manager
    manager = node_replace_manager.NodeReplaceManager()
    monkeypatch.setattr(server.PromptServer, "instance", types.SimpleNamespace(node_replace_manager=manager), raising=False)
    replacements = pack_module("nodes.replacements")
    old = replacements.Replacement("CapHumanOldHead", "CapHumanNewHead", inputs={"head_model": "model", "width": "w"},
                                   set_values={"height": 64}, outputs={3: 0})
    assert asyncio.run(replacements.register([old])) == 1
    prompt = {"1": {"class_type": "CapHumanLoadHeadModel", "inputs": {"head_model_name": "built-in"}, "_meta": {}},
              "2": {"class_type": "CapHumanOldHead", "inputs": {"model": ["1", 0], "w": 96}, "_meta": {}},
              "3": {"class_type": "CapHumanSaveHead", "inputs": {"head": ["2", 3], "filename_prefix": "old"}, "_meta": {}}}
    manager.apply_replacements(prompt)
    assert prompt["2"]["class_type"] == "CapHumanNewHead"
    assert prompt["2"]["inputs"] == {"head_model": ["1", 0], "width": 96, "height": 64}
    assert run(prompt)["success"]


def test_the_browser_hears_of_a_retired_node_s_widgets_and_outputs(host, pack_module):
    """tests/browser/test_replacement.py gives this answer to the real frontend."""
    retired = json.loads((Path(__file__).parents[1] / "browser" / "retired_node.json").read_text(encoding="utf-8"))
    replacements = pack_module("nodes.replacements")
    entry = replacements.Replacement(**retired["entry"])
    assert replacements.node_replace(entry).as_dict() == retired["host"]


def test_every_shipped_replacement_leads_to_a_node_that_exists(host, pack_module):
    for entry in pack_module("nodes.replacements").REPLACEMENTS:
        assert entry.old_id not in host.NODE_CLASS_MAPPINGS
        assert entry.new_id in host.NODE_CLASS_MAPPINGS


def test_the_doctor_s_node_reports_as_text_and_is_never_cached(call, pack, pack_module, caplog):
    report, following = call("CapHumanDoctor", checksums=False)
    assert report.startswith("Next: ")
    assert "Model files (recognised by content, not by name)" in report
    assert report.startswith(following)
    node = pack_module("nodes.doctor").Doctor
    assert node.fingerprint_inputs(False) != node.fingerprint_inputs(False)
    assert node.execute(False).ui == {"text": (following,), "caphuman_report": (report,)}


def test_the_log_has_the_doctor_s_line_and_survives_its_failure(pack_module, caplog, monkeypatch):
    doctor = pack_module("nodes.doctor")
    with caplog.at_level("INFO"):
        doctor.log_summary().join(60)
    assert "needed model files found" in caplog.text
    monkeypatch.setattr(doctor, "folders", lambda: 1 / 0)
    doctor.log_summary().join(60)
