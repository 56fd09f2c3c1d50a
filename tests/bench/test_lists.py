"""The prompts and head conditions that ship, and lists of one's own."""
from __future__ import annotations

import json
from collections import Counter

import pytest

from caphuman_bench.lists import HEADS_FORMAT, KINDS, PROMPTS_FORMAT, full_values, load_conditions, load_prompts
from caphuman_core.check import InputError


def test_35_prompts_of_six_kinds_each_with_what_it_expects():
    prompts = load_prompts()
    kinds = Counter(prompt.kind for prompt in prompts)
    assert len(prompts) == len({prompt.text for prompt in prompts}) == 35
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 5
    assert all(prompt.expects for prompt in prompts)
    assert all("person" in prompt.text for prompt in prompts)


def test_phrases_tell_the_prompts_of_a_kind_apart():
    prompts = load_prompts()
    for kind in KINDS:
        phrases = [phrase for prompt in prompts if prompt.kind == kind for phrase in prompt.expects]
        assert len(phrases) == len(set(phrases))


def test_10_conditions_with_pose_expression_position_and_light():
    conditions = load_conditions()
    assert len(conditions) == 10
    for names in (("yaw_degrees", "pitch_degrees", "roll_degrees"), ("smile", "surprise", "anger"), ("x", "y"), ("relight",)):
        assert any(any(entry.values[name] for name in names) for entry in conditions)


def test_a_light_value_turns_the_light_on():
    assert full_values({"light_azimuth": 10})["relight"]
    assert not full_values({"yaw_degrees": 10})["relight"]
    assert not full_values({"light_azimuth": 10, "relight": False})["relight"]


@pytest.mark.parametrize(("entry", "says"), [
    ({"key": "a", "values": {"jaw": 3}}, "jaw_degrees"), ({"key": "a", "values": {"smile": "much"}}, "number"),
    ({"key": "a", "values": {"smile": float("nan")}}, "number"), ({"key": "a", "values": {}, "photo": "x"}, "one of"),
    ({"key": "a"}, "one of"), ({"key": "../a", "values": {}}, "letters"), ({"key": "a", "file": "gone"}, "that is there")])
def test_wrong_conditions_are_named(tmp_path, entry, says):
    path = tmp_path / "heads.json"
    path.write_text(json.dumps({"format": HEADS_FORMAT, "heads": [entry]}))
    with pytest.raises(InputError, match=says):
        load_conditions(path)


@pytest.mark.parametrize("content", [
    "", "[]", "{}", '{"format": "x", "prompts": []}', f'{{"format": "{PROMPTS_FORMAT}", "prompts": []}}',
    f'{{"format": "{PROMPTS_FORMAT}", "prompts": [{{"key": "a", "text": " "}}]}}',
    f'{{"format": "{PROMPTS_FORMAT}", "prompts": [{{"key": "a", "text": "t"}}, {{"key": "A", "text": "u"}}]}}'])
def test_wrong_prompt_lists_are_refused(tmp_path, content):
    path = tmp_path / "prompts.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"prompts\.json"):
        load_prompts(path)


def test_files_and_photos_are_found_beside_the_list(tmp_path):
    (tmp_path / "h.head.safetensors").write_bytes(b"x")
    (tmp_path / "p.jpg").write_bytes(b"x")
    path = tmp_path / "heads.json"
    path.write_text(json.dumps({"format": HEADS_FORMAT, "heads": [{"key": "h", "file": "h.head.safetensors"},
                                                                  {"key": "p", "photo": "p.jpg"}]}))
    file, photo = load_conditions(path)
    assert (file.kind, file.file) == ("file", str(tmp_path / "h.head.safetensors"))
    assert (photo.kind, photo.picture) == ("photo", str(tmp_path / "p.jpg"))
