"""Entries of a batch by a short text: places, order, refusals; heads and identities alike."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.flow import Identity
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.picking import pick, places


@pytest.mark.parametrize(("text", "expected"), [
    ("0", [0]), ("3, 1", [3, 1]), (" 1,1 ", [1, 1]), ("1-3", [1, 2, 3]), ("3-1", [3, 2, 1]), ("2 - 2", [2]), ("last", [4]),
    ("-1", [4]), ("-2", [3]), ("all", [0, 1, 2, 3, 4]), ("reversed", [4, 3, 2, 1, 0]), ("2-last", [2, 3, 4]), ("-2--1", [3, 4]),
    ("LAST, 0", [4, 0])])
def test_places_come_in_the_order_in_which_they_are_written(text, expected):
    assert places(text, 5) == expected


@pytest.mark.parametrize("text", ["", "5", "-6", "1-5", "x", "1,,2", "1.5", "0:3", "99999999999999999999", "1-2-3"])
def test_what_names_no_place_is_refused_in_a_sentence(text):
    with pytest.raises(InputError, match=r"^which must .*but got.*:.*[.]$"):
        places(text, 5)


def test_a_text_cannot_ask_for_more_than_a_server_can_bear():
    with pytest.raises(InputError, match="at most 10000"):
        places(",".join(["all"] * 30), 1000)


def test_heads_are_taken_whole_and_in_order():
    batch = new_head(load_builtin(), 64, 48).expand(3)
    batch = batch.replace(rotation_radians=torch.arange(3.0)[:, None] * torch.ones(3), present=torch.tensor([True, False, True]))
    picked = pick(batch, [2, 0])
    assert picked.rotation_radians[:, 1].tolist() == [2.0, 0.0]
    assert picked.present.tolist() == [True, True]
    assert (picked.width, picked.height, picked.model_fingerprint) == (64, 48, batch.model_fingerprint)
    assert {len(value) for value in picked._tensors().values()} == {2}
    assert batch.rotation_radians[:, 1].tolist() == [0.0, 1.0, 2.0]


def test_identities_are_taken_like_heads_also_without_a_second_opinion():
    vectors = torch.eye(3, 512)
    batch = Identity(vectors, torch.arange(3.0)[:, None, None].expand(3, 257, 1024), torch.ones(3, dtype=torch.bool), "a")
    picked = pick(batch, [1, 1])
    assert torch.equal(picked.global_embedding, vectors[[1, 1]])
    assert picked.local_tokens[:, 0, 0].tolist() == [1.0, 1.0]
    assert picked.arcface is None
    assert picked.encoder_fingerprint == "a"


def test_refusals_name_the_place_and_the_widget():
    for text, words in (("5", r"^frames must stay in the batch, 0 to 4, but got 5: count from 0, or from the end with -1\.$"),
                        ("-6", "0 to 4, but got -6"),
                        ("x", "^frames must list places such as 0, .*, but got 'x': write numbers from 0 with commas")):
        with pytest.raises(InputError, match=words):
            places(text, 5, "frames")
    assert places("-5, 4", 5) == [0, 4]
    assert len(places("all", 10_000)) == 10_000
    with pytest.raises(InputError, match="which must name at most 10000 places, but got 10001 and more: name fewer"):
        places("all, 0", 10_000)
