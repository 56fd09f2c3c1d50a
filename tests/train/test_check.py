"""check: the numbers mean what they say, each oddity is told, and the sheet shows what is in the shards."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.new import new_head
from caphuman_core.pixels import photo_of
from caphuman_train.check.facts import facts_of
from caphuman_train.check.histograms import edges_of
from caphuman_train.check.sheet import SIDE, cell, spread
from caphuman_train.check.warnings import warnings_of
from caphuman_train.cli import main
from caphuman_train.commands.check import head_model_of
from caphuman_train.data.drawn import Drawing, drawn_record, write_drawn_shards
from caphuman_train.data.shards import Shards


@pytest.fixture(scope="module")
def record(head_model):
    return drawn_record(head_model, Drawing(), 0)


def test_facts_have_their_signs(record, head_model):
    head = new_head(head_model, 64, 64)
    turned = edit_head(head, head_model, Edit(yaw_degrees=25, pitch_degrees=-10, roll_degrees=5, jaw_degrees=12))
    facts = facts_of(replace(record, head=relight(turned, 60, 0, 0.8, 0.4, (1.0, 1.0, 1.0)), text="one two  three"))
    assert (facts.yaw, facts.pitch, facts.roll, facts.jaw) == pytest.approx((25, -10, 5, 12), abs=1e-3)
    assert facts.words == 3
    assert facts.side_light > 0.3, "light from the picture's right"
    darker = facts_of(replace(record, head=relight(turned, -60, 0, 0.8, 0.1, (1.0, 1.0, 1.0))))
    assert darker.side_light < -0.3
    assert darker.brightness < facts.brightness
    assert facts.face_share == record.measures["face_pixels"] / 64


@pytest.fixture(scope="module")
def plain(drawn_shards):
    """Facts without oddities but that they are few: sixteen people, two photos each, all sorts of heads."""
    shards = Shards.open(drawn_shards)
    facts = [facts_of(shards.record(index)) for index in range(len(shards))]
    return [replace(facts[i % len(facts)], key=str(i), person=f"p{i // 2}", yaw=30.0 * (-1) ** i, pitch=i % 7, words=4,
                    expression_known=True, face_area=0.2, brightness=0.9 + i % 3 / 10) for i in range(1000)]


SETTINGS, SUMMARY = {"parser": "BiSeNet (x)", "tokens": True}, {"refused": {}, "licences": {"CC0": 1000}}


def test_a_good_data_set_gives_no_warning(plain):
    assert warnings_of(plain, SETTINGS, SUMMARY) == []


@pytest.mark.parametrize(("change", "said"), [
    ({"yaw": 3.0}, "nearly all heads are frontal (mean yaw 3 degrees)"),
    ({"yaw": -40.0}, "heads look to the picture's left on the whole (mean yaw -40 degrees): prepare with --flips"),
    ({"words": 0}, "no photo has a caption"),
    ({"person": "anna"}, "all photos are of one person, anna"),
    ({"expression_known": False}, "the expression of 100% of the heads is not known"),
    ({"expression": 0.0}, "all heads have one expression"),
    ({"face_area": 0.0}, "100% of the face targets are all but empty"),
    ({"brightness": 1.0, "side_light": 0.0}, "all heads are lit alike"),
    ({"brightness": 0.1}, "100% of the heads are lit very darkly or brightly")])
def test_each_oddity_of_all_samples_is_told(plain, change, said):
    assert any(sentence.startswith(said) for sentence in warnings_of([replace(one, **change) for one in plain], SETTINGS, SUMMARY))


def test_oddities_of_some_samples_are_told_with_their_share(plain):
    third = [replace(one, person="anna", words=0) if i < 400 else one for i, one in enumerate(plain)]
    assert warnings_of(third, SETTINGS, SUMMARY) == ["one person, anna, is 40% of the data: others will look like them",
                                                     "40% of the captions are empty"]
    alone = [replace(one, person=one.key) for one in plain]
    assert warnings_of(alone, SETTINGS, SUMMARY)[0].startswith("every person has a single photo")
    assert warnings_of(plain[:50], SETTINGS, SUMMARY)[0].startswith("50 samples are few")


@pytest.mark.parametrize(("settings", "summary", "said"), [
    ({"parser": "rendered head"}, {}, "faces were told from the rest by the rendered head"),
    ({"tokens": False}, {}, "CLIP's tokens are not in the shards"),
    ({}, {"refused": {"no face": 2000}}, "more photos were refused (2,000) than kept"),
    ({}, {"licences": {"": 7}}, "7 photos do not say their licence")])
def test_what_prepare_has_noted_is_told(plain, settings, summary, said):
    assert warnings_of(plain, {**SETTINGS, **settings}, {**SUMMARY, **summary})[0].startswith(said)


def test_a_cell_shows_target_reference_hint_and_mask(drawn_shards, head_model):
    shards = Shards.open(drawn_shards)
    pixels = photo_of(cell(shards, 0, head_model))
    target, reference, over, masked = (pixels[:, :SIDE, i * (SIDE + 4):i * (SIDE + 4) + SIDE] for i in range(4))
    small = torch.nn.functional.interpolate(photo_of_record(shards, 0)[None], (SIDE, SIDE), mode="bilinear", antialias=True)[0]
    assert float((target - small).abs().mean()) < 0.03
    assert float((reference == 1).all(0).float().mean()) > 0.3, "the whitened face"
    opened = torch.nn.functional.interpolate(shards.record(0).face_target[None], (SIDE, SIDE), mode="nearest")[0, 0] > 0
    inner = torch.nn.functional.avg_pool2d(opened[None].float(), 17, 1, 8)[0] == 1            # away from the edges
    outer = torch.nn.functional.avg_pool2d(opened[None].float(), 17, 1, 8)[0] == 0
    assert float((masked - target).abs()[:, inner].max()) < 0.02
    assert float((masked - target * 0.35).abs()[:, outer].max()) < 0.02
    changed = (over - target).abs().amax(0) > 0.01
    assert bool(changed.any())
    assert float(changed[outer].float().mean()) < 0.2, "the hint lies on the head"


def photo_of_record(shards, index):
    from caphuman_train.data.webp import decoded
    return decoded(shards.record(index).photo) / 255


def test_the_command_writes_everything_and_says_what_is_odd(drawn_shards, tmp_path, capsys):
    from PIL import Image
    assert main(["check", str(drawn_shards), "--out", str(tmp_path / "out"), "--samples", "5"]) == 3
    said = capsys.readouterr().out
    assert "12 samples of 4 people, 64 x 64 pixels" in said
    assert "warning: 12 samples are few" in said
    facts = json.loads((tmp_path / "out" / "facts.json").read_text())
    assert len(facts["samples"]) == 12
    assert facts["digest"] == Shards.open(drawn_shards).digest
    for name in ("contact_sheet.jpg", "histograms.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert min(picture.size) > 200
    assert not (drawn_shards / "check").exists()


def test_the_sheet_goes_into_the_shards_folder_and_prepare_knows_it(tmp_path):
    write_drawn_shards(tmp_path, Drawing(count=3, people=1))
    assert main(["check", str(tmp_path)]) == 3
    assert (tmp_path / "check" / "contact_sheet.jpg").is_file()
    from caphuman_train.prepare.journal import OURS
    assert "check" in OURS


def test_a_changed_shard_is_found(drawn_shards, tmp_path, capsys):
    folder = shutil.copytree(drawn_shards, tmp_path / "shards")
    path = folder / "shard-000002.tar"
    content = bytearray(path.read_bytes())
    content[9000] ^= 255
    path.write_bytes(content)
    assert main(["check", str(folder)]) == 1
    assert "shard 'shard-000002.tar' must be as prepare has left it, but got other content" in capsys.readouterr().err


def test_heads_of_another_model_are_refused_before_they_are_drawn(drawn_shards, head_model):
    shards = Shards.open(drawn_shards)
    assert head_model_of(shards, None).fingerprint == head_model.fingerprint
    other = replace(shards, manifest=replace(shards.manifest, settings={**shards.manifest.settings, "head_model": "FLAME",
                                                                        "head_model_fingerprint": "abc"}))
    with pytest.raises(InputError, match=r"must be the one that the heads were fitted with, 'FLAME' \(abc\), but got 'built-in'"):
        head_model_of(other, None)


def test_bins_are_whole_multiples_of_their_width():
    assert edges_of([-7.0, 12.0], 5.0) == [-10.0, -5.0, 0.0, 5.0, 10.0, 15.0]
    assert edges_of([3.0], 5.0) == [0.0, 5.0]
    assert len(edges_of([0.0, 10000.0], 1.0)) <= 62


def test_the_choice_of_samples_is_the_same_every_time():
    assert spread(100, 10) == spread(100, 10) != spread(100, 10, seed=1)
    assert spread(5, 36) == [0, 1, 2, 3, 4]
