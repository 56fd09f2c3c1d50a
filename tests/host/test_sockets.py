"""Whatever a prompt of the API puts where a link belongs, the node refuses it in a sentence that names the input."""
from __future__ import annotations

import importlib
import math
import sys

import pytest

LITERALS = ("abc", 5, 2.5, True, [], ["x", 0.5], {}, [[1, 2]], object())

EMPTY = (("CONDITIONING", []), ("FACE_LANDMARKS", {}), ("BOUNDING_BOX", []), ("BOUNDING_BOX", {}))


@pytest.fixture(scope="module")
def nodes(pack):
    """Every node class of the pack, as the host has it."""
    return sys.modules[f"{pack.__name__}.nodes"].all_nodes()


@pytest.fixture(scope="module")
def sockets(pack):
    return importlib.import_module(f"{pack.__name__}.nodes.sockets")


def linked(node):
    """Inputs that take links only, and their types."""
    return [entry for entry in node.GET_SCHEMA().inputs
            if entry.io_type not in ("FLOAT", "INT", "STRING", "BOOLEAN", "COMBO", "COLOR")]


def test_every_type_of_every_input_is_known(nodes, sockets):
    types = {entry.io_type for node in nodes for entry in node.GET_SCHEMA().inputs}
    assert types - set(sockets.KINDS) <= {"COMBO", "BOOLEAN"}, "the host checks choices and makes booleans of anything"
    assert len([kind for kind in types if kind.startswith("CAPHUMAN_")]) == 11


def test_a_literal_in_place_of_a_link_is_refused_by_name(nodes, pack):
    refusal = importlib.import_module(f"{pack.__name__}.caphuman_core.check").InputError
    tried = 0
    for node in nodes:
        for entry in linked(node):
            for literal in LITERALS:
                if any(entry.io_type == kind and literal == empty for kind, empty in EMPTY):
                    continue                                # an empty one of its kind
                with pytest.raises(refusal, match=f"^{entry.id} must be") as caught:
                    node.execute(**{entry.id: literal})
                assert "connect" in str(caught.value), "it says what to do"
                assert "\n" not in str(caught.value)
                tried += 1
    assert tried > 400


def test_what_is_optional_may_be_absent(nodes, sockets, pack, monkeypatch):
    refusal = importlib.import_module(f"{pack.__name__}.caphuman_core.check").InputError
    seen = []
    monkeypatch.setattr(sockets, "check", lambda name, io_type, value: seen.append(name))
    for node in nodes:
        optional = [entry.id for entry in linked(node) if entry.optional]
        with pytest.raises((TypeError, refusal)):           # the others are missing
            node.execute(**dict.fromkeys(optional))
    assert seen == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_said_so(nodes, pack, number):
    refusal = importlib.import_module(f"{pack.__name__}.caphuman_core.check").InputError
    tried = 0
    for node in nodes:
        for entry in node.GET_SCHEMA().inputs:
            if entry.io_type == "FLOAT":
                with pytest.raises(refusal, match=f"^{entry.id} must be a number, but got {number}"):
                    node.execute(**{entry.id: number})
                tried += 1
    assert tried > 40


@pytest.mark.parametrize(("kind", "inputs", "named"), [
    ("CapHumanSaveHead", {"head": "abc", "filename_prefix": "x"}, "head must be a head, but got the text 'abc'"),
    ("CapHumanSaveIdentity", {"identity": "abc", "filename_prefix": "x"}, "identity must be an identity")])
def test_the_executor_tells_the_sentence(run, kind, inputs, named):
    result = run({"1": {"class_type": kind, "inputs": inputs}})
    assert result["valid"]
    assert not result["success"]
    assert named in str(result["messages"][-1])


def test_a_class_of_a_pack_that_was_reloaded_still_fits(sockets):
    """After a hot reload the host's cache holds objects of the classes before it."""
    sockets.check("head", "CAPHUMAN_HEAD", type("Head", (), {})())
    with pytest.raises(ValueError, match="head must be a head, but got a Heads"):
        sockets.check("head", "CAPHUMAN_HEAD", type("Heads", (), {})())


def test_the_check_is_put_on_once(nodes, sockets):
    for node in nodes:
        assert not hasattr(sockets.checked(node).execute.__func__.__wrapped__, "__wrapped__")
