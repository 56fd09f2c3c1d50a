"""Shards and the loader: any sample by its number, every byte checked, batches by step alone."""
from __future__ import annotations

import re
import shutil
from dataclasses import fields, replace

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.render.maps import render
from caphuman_train.data.drawn import Drawing, drawn_record, narrow_tokens, write_drawn_shards
from caphuman_train.data.loader import batch_at, prefetch
from caphuman_train.data.manifest import MANIFEST_FILE
from caphuman_train.data.record import from_members, to_members
from caphuman_train.data.shards import Shards
from caphuman_train.data.target import face_target
from caphuman_train.data.webp import decoded


@pytest.fixture(scope="module")
def shards(drawn_shards):
    return Shards.open(drawn_shards)


def same(a, b):
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) if hasattr(getattr(a, f.name), "shape")
               else getattr(a, f.name) == getattr(b, f.name) for f in fields(a))


def at(shards, model, step, batch=4, rank=0, world=1, flip=0.5, seed=3):
    return batch_at(shards, step, batch, seed, rank, world, flip, model)


def test_a_record_comes_back_as_it_was(head_model):
    made = drawn_record(head_model, Drawing(), 5)
    back = from_members(dict(to_members(made)))
    for name in ("key", "person", "text", "licence", "source", "picture_hash", "number", "face", "photo", "measures"):
        assert getattr(back, name) == getattr(made, name)
    assert same(back.head, made.head), "codes are not rounded"
    assert torch.equal(back.global_embedding, made.global_embedding)
    for name in ("latent_mean", "latent_std", "flipped_mean", "local_tokens"):
        torch.testing.assert_close(getattr(back, name), getattr(made, name), rtol=2 ** -10, atol=1e-4)     # half precision


def test_a_sample_has_the_shapes_that_training_expects(shards):
    sample = shards.sample(0)
    assert (sample.width, sample.height) == (64, 64)
    shapes = {name: tuple(getattr(sample, name).shape) for name in
              ("latent_mean", "latent_std", "global_embedding", "local_tokens", "face_target")}
    assert shapes == {"latent_mean": (4, 8, 8), "latent_std": (4, 8, 8), "global_embedding": (512,),
                      "local_tokens": (257, 1024), "face_target": (1, 8, 8)}
    assert all(getattr(sample, name).dtype == torch.float32 for name in shapes)
    assert set(sample.face_target.unique().tolist()) == {0.0, 1.0}
    assert len(sample.head) == 1
    assert (sample.person, sample.licence, sample.source) == ("person000", "CC0-1.0", "drawn")


def test_identity_comes_from_another_photo_of_the_person_and_the_rest_from_the_target(shards):
    one, two = shards.sample(0), shards.sample(4)                # person000 has samples 0, 4 and 8
    assert shards.people[4] == shards.people[0]
    assert shards.others(0) == (4, 8)
    assert shards.others(4) == (8, 0)
    mixed = shards.sample(0, reference=4)
    own = shards.sample(4, reference=4)
    assert torch.equal(mixed.local_tokens, own.local_tokens)
    assert torch.equal(mixed.latent_mean, one.latent_mean)
    assert mixed.reference_key == two.key == shards.keys[4]
    assert not torch.equal(shards.sample(0, reference=0).local_tokens, mixed.local_tokens)


def test_references_are_the_photos_whose_keys_match_where_there_are_any(shards):
    key = shards.keys[8]
    telling = replace(shards, references=f"{re.escape(key)}$")
    assert telling.others(0) == telling.others(4) == (8,)
    assert telling.others(8) == shards.others(8) == (0, 4), "a photo that would tell is alone with those that do not"
    assert telling.others(1) == shards.others(1), "nobody else has such a photo"
    assert telling.sample(0).reference_key == key
    assert telling.split(4)[0].references == telling.references


def test_in_plain_skin_hints_keep_their_shape_and_lose_their_colours(shards, head_model):
    own, plain, mixed = (batch_at(shards, 0, 8, 3, 0, 1, 0.5, head_model, chance) for chance in (0.0, 1.0, 0.5))
    assert own.keys == plain.keys == mixed.keys
    assert torch.equal(plain.hint[:, :3], own.hint[:, :3]), "normals, mirrored or not"
    albedo = slice(3, 6)
    for row in range(8):
        assert not torch.equal(plain.hint[row, albedo], own.hint[row, albedo])
    means = [[batch.hint[row, albedo][:, batch.hint[row, albedo].sum(0) > 0].mean(1) for row in range(8)] for batch in (own, plain)]
    spreads = [float(torch.stack(rows).std(0).mean()) for rows in means]
    assert spreads[1] < 0.4 * spreads[0], "all heads have one skin"
    plainer = [torch.equal(mixed.hint[row], plain.hint[row]) for row in range(8)]
    assert all(torch.equal(mixed.hint[row], (plain if is_plain else own).hint[row]) for row, is_plain in enumerate(plainer))
    assert 0 < sum(plainer) < 8
    assert torch.equal(plain.local_tokens, own.local_tokens)
    assert torch.equal(plain.latent_mean, own.latent_mean)


def test_the_hint_is_what_render_head_draws(shards, head_model):
    batch = at(shards, head_model, 0, flip=0.0)
    for row, key in enumerate(batch.keys):
        head = shards.sample(shards.keys.index(key)).head
        assert torch.equal(batch.hint[row], render(head, head_model, 64, 64).hint().maps[0])


def test_a_flip_mirrors_picture_hint_and_mask_together(shards, head_model):
    """The drawn pictures tell where the head is: latents (their mean), mask and hint must agree after the flip too."""
    plain, mirrored = at(shards, head_model, 0, flip=0.0), at(shards, head_model, 0, flip=1.0)
    assert plain.keys == mirrored.keys
    torch.testing.assert_close(mirrored.latent_mean, plain.latent_mean.flip(-1), rtol=0, atol=2e-3)     # narrow: no real VAE
    assert torch.equal(mirrored.face_target, plain.face_target.flip(-1))
    normal, before = mirrored.hint[:, :3], plain.hint[:, :3].flip(-1)
    assert torch.equal(normal[:, 0], -before[:, 0])
    assert torch.equal(normal[:, 1:], before[:, 1:])
    assert torch.equal(mirrored.hint[:, 3:], plain.hint[:, 3:].flip(-1))
    assert torch.equal(mirrored.global_embedding, plain.global_embedding)
    left = mirrored.hint[:, 0][mirrored.hint[:, 2] > 0]
    assert float(left.abs().max()) > 0.5, "there are normals to the side to speak of"


def test_a_mirrored_hint_is_the_hint_of_the_mirrored_head(head_model):
    """A head turned the other way, lit from the other side, drawn: equal up to the head model's own asymmetry."""
    from caphuman_core.head.edit.edit import Edit, edit_head
    from caphuman_core.head.edit.relight import relight
    from caphuman_core.head.new import new_head
    from caphuman_train.data.batch import mirrored

    def drawn(sign):
        head = edit_head(new_head(head_model, 96, 96), head_model, Edit(yaw_degrees=sign * 30, x=sign * 0.1, roll_degrees=sign * 8))
        return render(relight(head, sign * 50, 20, 0.7, 0.5, (1.0, 0.9, 0.8)), head_model, 96, 96)
    right, left = drawn(1), drawn(-1)
    both = (mirrored(right.hint().maps)[:, 2:3] != 0) & (left.hint().maps[:, 2:3] != 0)
    difference = ((mirrored(right.hint().maps) - left.hint().maps).abs() * both).amax((0, 2, 3))
    typical = ((mirrored(right.hint().maps) - left.hint().maps).abs() * both).sum((0, 2, 3)) / both.sum()
    assert float(typical.max()) < 0.02, (typical, difference)
    wrong = ((right.hint().maps.flip(-1) - left.hint().maps).abs() * both).sum((0, 2, 3)) / both.sum()
    assert float(wrong[0]) > 0.2, "without the sign of x the normals are far off"


def test_batches_follow_from_seed_and_step_alone(shards, head_model):
    assert same(at(shards, head_model, 7), at(shards, head_model, 7))
    assert at(shards, head_model, 7).keys != at(shards, head_model, 8).keys
    assert [at(shards, head_model, s, seed=4).keys for s in range(3)] != [at(shards, head_model, s).keys for s in range(3)]


def test_one_process_of_four_and_two_of_two_see_the_same(shards, head_model):
    for step in (0, 5):
        whole = at(shards, head_model, step, batch=4)
        halves = [at(shards, head_model, step, batch=2, rank=rank, world=2) for rank in (0, 1)]
        assert whole.keys == halves[0].keys + halves[1].keys
        for name in ("latent_mean", "hint", "local_tokens", "face_target"):
            assert torch.equal(getattr(whole, name), torch.cat([getattr(half, name) for half in halves]))


def test_every_epoch_shows_every_sample_once_in_another_order(shards, head_model):
    epochs = [[key for step in range(3 * e, 3 * e + 3) for key in at(shards, head_model, step).keys] for e in range(3)]
    assert all(sorted(epoch) == sorted(shards.keys) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_flips_and_references_are_drawn_with_their_probabilities(head_model):
    from caphuman_train.data.loader import _draws
    draws = torch.tensor([_draws(0, place) for place in range(20000)])
    assert abs(float((draws[:, 0] < 0.3).float().mean()) - 0.3) < 0.013       # 4 standard deviations of 20,000 draws
    assert abs(float((draws[:, 1] * 2).long().float().mean()) - 0.5) < 0.015
    assert abs(float(torch.corrcoef(draws.T)[0, 1])) < 0.03


def test_a_batch_takes_identity_from_the_other_photos_of_the_person_all_of_them_in_time(shards, head_model):
    seen = {}
    tokens = {index: shards.sample(index, index).local_tokens for index in range(len(shards))}
    for step in range(9):
        batch = at(shards, head_model, step)
        for row, key in enumerate(batch.keys):
            index = shards.keys.index(key)
            (found,) = [other for other, theirs in tokens.items() if torch.equal(theirs, batch.local_tokens[row])]
            seen.setdefault(index, set()).add(found)
    assert all(seen[index] <= set(shards.others(index)) for index in seen), "never the target itself"
    assert any(len(found) == 2 for found in seen.values()), "drawn anew each time"


def test_who_is_held_out_hardly_changes_with_more_people(shards):
    """By the people's names, not by their places: what was held out stays so when photos are added before it."""
    from dataclasses import replace
    _, before = shards.split(1)
    turned = replace(shards, places=tuple(reversed(shards.places)))
    assert set(turned.split(1)[1].people) == set(before.people)


def test_worker_processes_bring_the_same_batches_in_order(shards, head_model):
    made = list(prefetch(shards, 2, 8, 2, 3, 0, 1, 0.5, head_model, workers=2))
    assert [step for step, _ in made] == list(range(2, 8))
    for (_, batch), (_, plain) in zip(made, prefetch(shards, 2, 8, 2, 3, 0, 1, 0.5, head_model, workers=0), strict=True):
        assert same(batch, plain)


def test_held_out_people_are_in_no_sample_to_train_on(shards):
    train, held = shards.split(3)
    assert len(held) == 3
    assert len(train) == 9
    assert not set(train.people) & set(held.people)
    assert held.sample(0).reference_key in held.keys
    with pytest.raises(InputError, match="must leave people to train on"):
        shards.split(12)


def test_tokens_come_from_the_tower_where_shards_have_none(tmp_path):
    write_drawn_shards(tmp_path, Drawing(count=2, people=2, tokens=False))
    with pytest.raises(InputError, match="CLIP's tokens must be in the shards, or the CLIP vision tower must be given"):
        Shards.open(tmp_path).sample(0)
    tower = Shards.open(tmp_path, tokens=lambda face: narrow_tokens(decoded(face)[None] / 255)[0])
    assert tower.sample(0).local_tokens.shape == (257, 1024)


def test_flips_that_were_not_encoded_are_refused(tmp_path, head_model):
    write_drawn_shards(tmp_path, Drawing(count=2, people=2, flips=False))
    shards = Shards.open(tmp_path)
    assert len(batch_at(shards, 0, 2, 0, 0, 1, 0.0, head_model)) == 2
    with pytest.raises(InputError, match="prepare with --flips"):
        batch_at(shards, 0, 2, 0, 0, 1, 1.0, head_model)


@pytest.fixture
def copy(drawn_shards, tmp_path):
    return shutil.copytree(drawn_shards, tmp_path / "shards")


def test_a_truncated_a_changed_and_a_missing_shard_are_refused(copy):
    path = copy / "shard-000001.tar"
    content = path.read_bytes()
    path.write_bytes(content[:-600])
    with pytest.raises(InputError, match=r"shard 'shard-000001.tar' must be as prepare has left it, but got .* bytes in place of"):
        Shards.open(copy)
    changed = bytearray(content)
    changed[3000] ^= 1
    path.write_bytes(changed)
    with pytest.raises(InputError, match="but got other content"):
        Shards.open(copy)
    path.unlink()
    with pytest.raises(InputError, match="must be there"):
        Shards.open(copy)


def test_a_record_changed_later_is_refused_when_it_is_read(copy):
    """Folders too large to be read at every start are checked record by record."""
    path = copy / "shard-000001.tar"
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    shards = Shards.open(copy, verify=False)
    shards.record(0)
    with pytest.raises(InputError, match=r"but got other bytes for sample 'person001/000005'"):
        shards.record(5)


@pytest.mark.parametrize(("change", "said"), [
    (lambda text: "", "must hold a readable manifest"), (lambda text: text[:-30], "must hold a readable manifest"),
    (lambda text: text.replace("person000", "person00X", 1).replace('"tokens": true', '"tokens": false'), "one that was changed"),
    (lambda text: text.replace("shards/1", "shards/9"), "must be of format"), (lambda text: '{"format": 1}', "must be of format"),
    (lambda text: "[]", "must hold a readable manifest")])
def test_a_damaged_manifest_is_refused(copy, change, said):
    path = copy / MANIFEST_FILE
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=said):
        Shards.open(copy)


def test_a_folder_without_a_manifest_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match=r"must hold a manifest.json, but got a folder without one: make one with: python -m"):
        Shards.open(tmp_path)


def test_the_digest_tells_data_apart(shards, tmp_path):
    write_drawn_shards(tmp_path, Drawing(count=12, people=4, per_shard=5))
    assert Shards.open(tmp_path).digest == shards.digest
    write_drawn_shards(tmp_path, Drawing(count=12, people=4, per_shard=5, seed=1))
    assert Shards.open(tmp_path).digest != shards.digest


def test_batches_of_several_sizes_and_heads_of_another_model_are_refused(shards, head_model):
    from dataclasses import replace

    from caphuman_train.data.batch import collate
    one = shards.sample(0)
    with pytest.raises(InputError, match="must hold pictures of one size, but got 64 x 64 and 128 x 64"):
        collate([one, replace(one, width=128)], head_model)
    with pytest.raises(InputError, match="must be drawn with the head model it was made with"):
        collate([replace(one, head=one.head.replace(model_fingerprint="other"))], head_model)


def test_the_face_target_is_decided_by_the_middle_of_each_cell():
    """TRAINING.md: the map is resized as whole numbers, bilinear without antialiasing, then rounded."""
    face = torch.zeros(16, 24)
    face[:, 4:] = 1                                               # pixels 3 and 4 decide the first column: a tie, which is 0
    assert face_target(face).tolist() == [[[0, 1, 1], [0, 1, 1]]]
    face[3:5, 3] = 1
    assert face_target(face).tolist() == [[[1, 1, 1], [0, 1, 1]]]
    assert face_target(face > 0).dtype == torch.float32
