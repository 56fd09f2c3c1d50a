"""The miniature's stages: each goes on as if it had not been stopped, and the whole chain ends in one small file."""
from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch

from caphuman_core.check import InputError

TINY = """
[pictures]
side = 64
people = 3
each = 2
[autoencoder]
steps = 4
batch = 2
crop = 32
[base]
steps = 2
batch = 2
[capface]
steps = 2
batch = 2
held_out = 1
[style]
steps = 1
batch = 2
[points]
steps = 1
batch = 2
[decoder]
steps = 2
batch = 2
crop = 32
whole_share = 0.5
[looks]
log_every = 1
save_every = 1
sheet_every = 0
"""


@pytest.fixture(scope="module")
def recipe(part, tmp_path_factory):
    from caphuman_train.miniature.recipe import read_recipe
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return read_recipe(path)


class Slope:
    """Something quick to learn, whose steps can be interrupted."""

    size = 4

    def __init__(self, stop_at=None):
        self.network = torch.nn.Linear(2, 1)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network.reset_parameters()
        self.stop_at, self.seen = stop_at, []

    def batch(self, step):
        if step == self.stop_at:
            raise RuntimeError("power cut")
        self.seen.append(step)
        x = torch.randn(self.size, 2, generator=torch.Generator().manual_seed(step))
        return x, x @ torch.tensor([2.0, -1.0])

    def loss(self, x, y):
        return (self.network(x)[:, 0] - y).square().mean()

    def sheet(self):
        from PIL import Image
        return Image.new("RGB", (8, 8), (round(255 * float(self.network.weight[0, 0].clamp(0, 1))), 0, 0))


def learn(folder, lesson, steps=12, said=None, **depends_on):
    from caphuman_train.miniature.recipe import Looks
    from caphuman_train.miniature.training import Plan
    from caphuman_train.miniature.training import learn as go
    return go(folder, lesson, Plan(steps, 0.05, 4), Looks(log_every=2, save_every=4, sheet_every=6), depends_on,
              (lambda line: None) if said is None else said.append)


def test_a_stage_that_was_killed_ends_with_the_same_weights(part, tmp_path):
    from caphuman_train.miniature.training import learnt
    whole = Slope()
    assert learn(tmp_path / "whole", whole).done
    with pytest.raises(RuntimeError, match="power cut"):
        learn(tmp_path / "cut", Slope(stop_at=7))
    rest = Slope()
    assert learn(tmp_path / "cut", rest).done
    assert rest.seen == list(range(4, 12))                   # the last checkpoint is that of step 4
    assert torch.equal(whole.network.weight, rest.network.weight)
    wanted, found = learnt(tmp_path / "whole"), learnt(tmp_path / "cut")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert not torch.equal(wanted["weight"], whole.network.weight)                          # it is the running mean
    steps = [int(row.split("\t")[0]) for row in (tmp_path / "cut" / "loss.tsv").read_text().splitlines()[1:]]
    assert steps == [2, 4, 6, 8, 10, 12]
    assert sorted(path.stem for path in (tmp_path / "cut" / "sheets").iterdir()) == ["000006", "000012"]


@pytest.mark.parametrize("cores", [2, 3, 8])
def test_cores_share_a_batch_and_learn_the_same(part, tmp_path, cores):
    class Seven(Slope):
        size = 7
    found, kept = [], torch.get_num_threads()
    try:
        for count in (1, cores):
            torch.set_num_threads(count)
            lesson = Seven()
            learn(tmp_path / str(count), lesson)
            assert torch.get_num_threads() == count
            found.append(lesson.network.weight.detach())
    finally:
        torch.set_num_threads(kept)
    assert torch.allclose(found[0], found[1], atol=1e-6)
    rows = [[float(row.split("\t")[1]) for row in (tmp_path / str(count) / "loss.tsv").read_text().splitlines()[1:]]
            for count in (1, cores)]
    assert rows[0] == pytest.approx(rows[1], rel=1e-5)


def test_a_stage_learns_and_tells(part, tmp_path):
    said = []
    learn(tmp_path, Slope(), 100, said)
    losses = [float(row.split("\t")[1]) for row in (tmp_path / "loss.tsv").read_text().splitlines()[1:]]
    assert sum(losses[-5:]) < 0.1 * sum(losses[:5])
    assert said[0].startswith(f"{tmp_path.name}: step 2 of 100, loss ")


def test_a_stage_goes_on_only_as_it_was_begun(part, tmp_path):
    learn(tmp_path, Slope(), 4, people=3)
    with pytest.raises(InputError, match="people 4, which was 3"):
        learn(tmp_path, Slope(), 8, people=4)


def test_numbers_that_are_none_stop_a_stage_before_they_are_saved(part, tmp_path):
    class Broken(Slope):
        def batch(self, step):
            x, y = super().batch(step)
            return x, y * (float("nan") if step == 5 else 1)
    with pytest.raises(InputError, match="finite numbers"):
        learn(tmp_path, Broken())
    from caphuman_train.miniature.training import learnt
    assert bool(learnt(tmp_path)["weight"].isfinite().all())


def test_an_album_is_drawn_once_and_found_again_by_its_pixels(part, recipe, head_model, tmp_path):
    from caphuman_train.miniature.album import draw_album, face_of, mark_of, marks_of, open_album
    pictures = replace(recipe.pictures, people=2)
    draw_album(tmp_path, pictures, head_model)
    first = (tmp_path / "pictures" / "p00000" / "1.png").stat().st_mtime_ns
    (tmp_path / "faces" / "p00001" / "known.json").unlink()                                  # killed while it drew the second
    draw_album(tmp_path, pictures, head_model)
    assert (tmp_path / "pictures" / "p00000" / "1.png").stat().st_mtime_ns == first
    album, marks = open_album(tmp_path, pictures), marks_of(tmp_path, pictures)
    assert len(album) == 4
    assert [marks[mark_of(pixels)] for pixels in album.pixels] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    face = face_of(tmp_path, 1, 0)
    assert face.shape == (64, 64)
    assert 0.02 < face.float().mean() < 0.6


def test_the_decoder_learns_latents_of_the_very_pictures(part, recipe):
    from caphuman_train.miniature.album import Album
    from caphuman_train.miniature.decoder import DecoderLesson
    from caphuman_train.miniature.latents import Latents
    from caphuman_train.miniature.narrow import SCALE, make_autoencoder
    from caphuman_train.miniature.styles import styled
    pixels = (torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)).repeat_interleave(8, 2).repeat_interleave(8, 3)
              * 255).byte()
    album = Album(pixels, pixels[:, 0] > 128, [""] * 6)

    def told(pictures):                                      # latents that are the pictures, made smaller
        both = torch.stack([pictures, pictures.flip(-1)], 1)
        small = torch.nn.functional.avg_pool3d(both, (1, 8, 8))
        mean = torch.cat([small, torch.zeros_like(small[:, :, :1])], 2) * SCALE
        return Latents(mean, torch.zeros_like(mean))
    photos = pixels.float() / 255
    lesson = DecoderLesson(recipe, album, (told(photos), told(styled(photos, "ink"))), make_autoencoder())
    for step in range(2):                                    # a cut and a whole one
        latents, pictures, faces = lesson.batch(step)
        assert pictures.shape[-1] == (32, 64)[step]
        assert faces.shape == (2, 1, *pictures.shape[2:])
        assert torch.allclose(torch.nn.functional.avg_pool2d(pictures, 8), latents[:, :3], atol=1e-5)
    # half of these are mirrored, a third in the second style: all of that is seen in 40 steps
    many = replace(recipe, decoder=replace(recipe.decoder, steps=40))
    lesson = DecoderLesson(many, album, lesson.latents, make_autoencoder())
    for step in range(40):
        latents, pictures, _ = lesson.batch(step)
        assert torch.allclose(torch.nn.functional.avg_pool2d(pictures, 8), latents[:, :3], atol=1e-5)


def test_dots_of_a_picture_are_those_of_its_head(part, recipe, head_model, tmp_path):
    """As Render Head draws them for the very picture, mirrored with it; a network that has learnt nothing adds nothing."""
    from caphuman_core.render.dots import draw_dots
    from caphuman_core.render.maps import render
    from caphuman_train.miniature.base import BaseLesson
    from caphuman_train.miniature.latents import Latents
    from caphuman_train.miniature.narrow import make_unet
    from caphuman_train.miniature.points import PointsLesson
    from caphuman_train.miniature.scene import scene_of
    from caphuman_train.miniature.work import Work
    from tools.stand_ins.narrow_nets import seeded
    work, captions = Work(tmp_path, recipe, lambda line: None), ["a red shirt", "", "a blue shirt", "", "", "no hair"]
    mean = torch.randn(6, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    base = seeded(make_unet(32), 3).state_dict()
    lesson = PointsLesson(work, captions, Latents(mean, torch.zeros_like(mean)), None, base)
    seen = set()
    for step in range(12):
        chosen, mirrored = lesson.captions.chosen(step)
        for dots, index, side in zip(lesson.batch(step)[-1], chosen.tolist(), mirrored.tolist(), strict=True):
            scene = scene_of(head_model, recipe.pictures.seed, 64, *divmod(index, 2), recipe.pictures.even_light)
            wanted = draw_dots(render(scene.head, head_model, 64, 64).landmarks, 64, 64)
            assert torch.equal(dots, (wanted.flip(-1) if side else wanted).expand(3, -1, -1))
            assert not torch.equal(wanted, wanted.flip(-1))
            seen.add(side)
    assert seen == {0, 1}
    noisy, times, context, noise, dots = lesson.batch(0)
    plain = BaseLesson(recipe, "points", captions, lesson.captions.latents, None, 2, base)
    with torch.no_grad():
        errors = (plain.network(noisy, times, context=context) - noise).square().mean((1, 2, 3)) * lesson.weights[times]
        assert float(lesson.loss(noisy, times, context, noise, dots)) == pytest.approx(float(errors.mean()), rel=1e-4)
    lesson.loss(noisy, times, context, noise, dots).backward()
    assert float(lesson.network.zero_convs[0][0].weight.grad.abs().sum()) > 0


def test_stages_go_on_from_an_earlier_miniature(part, recipe, tmp_path):
    from caphuman_train.miniature.album import Album
    from caphuman_train.miniature.autoencoder import AutoencoderLesson
    from caphuman_train.miniature.capface import run_toml
    from caphuman_train.miniature.recipe import Start
    from caphuman_train.miniature.work import Work
    from caphuman_train.train.toml_file import read_settings
    folders = "", str(tmp_path / "old")
    new, larger = (Work(tmp_path, replace(recipe, start=Start(folder)), lambda line: None) for folder in folders)
    named = str(tmp_path / "named.safetensors")
    going_on = Work(tmp_path, replace(recipe, capface=replace(recipe.capface, start=named)), lambda line: None)
    assert new.earlier("base") is None
    assert larger.earlier("base") == tmp_path / "old" / "base"
    assert larger.told().items() - new.told().items() == {("start.folder", str(tmp_path / "old"))}
    for work, wanted in ((new, ""), (larger, str(tmp_path / "old" / "capface" / "capface.safetensors")), (going_on, named)):
        for file in filter(None, (wanted, str(tmp_path / "base"))):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        (tmp_path / "place" / "shards").mkdir(parents=True, exist_ok=True)
        (tmp_path / "run.toml").write_text(run_toml(work, tmp_path / "place", tmp_path / "base"))
        settings = read_settings(tmp_path / "run.toml")
        assert settings.start.capface == wanted
        assert settings.start.scale_hint == settings.start.scale_identity == (not wanted)
        even = [number for number in range(4) if re.search(settings.data.references, f"p00012/{number}.png")]
        assert even == list(range(recipe.pictures.even_light or 4)), "the evenly lit pictures tell who it is"
    album = Album(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(1, 64, 64, dtype=torch.bool), [""])
    start = {name: value + 1 for name, value in AutoencoderLesson(recipe, album).network.state_dict().items()}
    begun = AutoencoderLesson(recipe, album, start).network.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in start.items())


def test_the_whole_chain(part, recipe, tmp_path, capsys):
    """From nothing to one small file; then nothing is done twice, and the file is the trainer's CapFace and the two UNets."""
    from caphuman_core.capface.keys import read_capface
    from caphuman_train.miniature.pack import load_packed
    from caphuman_train.miniature.stages import STAGES, carry_out
    from caphuman_train.miniature.status import status
    from caphuman_train.miniature.training import learnt
    from caphuman_train.miniature.work import Work
    said = []
    work, names = Work(tmp_path, recipe, said.append), list(STAGES)
    assert names == ["pictures", "autoencoder", "latents", "base", "capface", "style", "points", "decoder", "pack", "widen"]
    assert carry_out(work, names[:-1])
    packed = load_packed(tmp_path / "pack" / "miniature.safetensors")
    assert all(torch.equal(packed.base[name], value.half().float()) for name, value in learnt(tmp_path / "base").items())
    trained = read_capface(tmp_path / "capface" / "capface.safetensors")
    assert packed.capface.keys() == trained.keys()
    assert all(torch.equal(packed.capface[name], value.half().float()) for name, value in trained.items())
    for name, value in learnt(tmp_path / "style").items():
        assert torch.allclose(packed.styled[name], value, atol=float(value.abs().max()) / 1000 + 1e-5), name
    assert json.loads(packed.told["capface"])["head_model_fingerprint"] == work.model.fingerprint
    said.clear()
    assert carry_out(Work(tmp_path, recipe, said.append), names[:-1])
    assert not said
    assert status(work, names).count(" done\n") == len(names) - 1
    shards = json.loads((tmp_path / "capface" / "shards" / "check" / "facts.json").read_text())
    assert shards["summary"]["samples"] == 6
    assert "trained on drawn heads only" in (tmp_path / "pack" / "miniature.md").read_text()
    unpacked_it_is_gone_on_from(tmp_path, recipe)
    processes_share_a_batch_and_learn_the_same(tmp_path)


def unpacked_it_is_gone_on_from(folder, recipe):
    """What the first stages left comes out of the packed file, which follows from it again."""
    from caphuman_train.miniature.latents import PHOTO
    from caphuman_train.miniature.pack import PARTS, load_packed
    from caphuman_train.miniature.stages import carry_out
    from caphuman_train.miniature.unpack import unpack
    from caphuman_train.miniature.work import Work
    before, again = load_packed(folder / "pack" / "miniature.safetensors"), Work(folder / "again", recipe, lambda line: None)
    capface = unpack(folder / "pack" / "miniature.safetensors", again)
    assert carry_out(again, ["pictures", "autoencoder", "latents", "base"])
    assert (again.place("latents") / PHOTO).is_dir()
    shutil.copyfile(capface, again.place("capface") / "capface.safetensors")
    assert carry_out(again, ["style", "points", "decoder", "pack"])
    after = load_packed(again.place("pack") / "miniature.safetensors")
    for part in PARTS:
        for name, value in getattr(before, part).items():
            assert torch.allclose(getattr(after, part)[name], value, rtol=1e-3, atol=1e-5), (part, name)
    assert after.told == before.told
    with pytest.raises(InputError, match="must be a new one"):
        unpack(folder / "pack" / "miniature.safetensors", again)


def processes_share_a_batch_and_learn_the_same(folder):
    """CapFace's stage on one core, and on two."""
    from caphuman_train.miniature.cores import train_on_cores
    from caphuman_train.train import checkpoint
    from caphuman_train.train.toml_file import read_settings
    ended, kept, reports = [], torch.get_num_threads(), []
    try:
        for cores in (1, 2):
            torch.set_num_threads(cores)
            settings = read_settings(folder / "capface" / "run.toml", (f'run.folder="{folder}/on-{cores}"', "log.every=1"))
            assert train_on_cores(settings, lambda entry, step, cores=cores: reports.append((cores, step))).done
            assert torch.get_num_threads() == cores
            ended.append(checkpoint.load(checkpoint.latest(folder / f"on-{cores}")).weights)
    finally:
        torch.set_num_threads(kept)
    assert reports == [(cores, step) for cores in (1, 2) for step in (1, 2)]
    apart = torch.cat([(one - ended[1][name]).flatten() for name, one in ended[0].items()]).abs()
    assert float(apart.mean()) < 1e-6                        # two steps move each weight by some 1e-4


def box_by(known, picture, low, high):
    """The face's box where an eye finds a face from low to high."""
    from caphuman_core.flow import Face
    from caphuman_train.miniature.known import KnownFaces

    class Eye:
        name, doubtful_below, convincing = "eye", 0.0, 0.0

        def find(self, photos, search=None):
            return [(Face(torch.cat([low, high]), 1.0),) for _ in photos]
    (face,), = KnownFaces(known, Eye()).find(picture[None])
    assert face.points68 is not None
    return face.box_xyxy.tolist()


def test_clip_s_view_is_whitened_only_where_the_settings_say_so(part):
    from caphuman_core.flow import Face
    from caphuman_train.prepare.settings import Settings
    from caphuman_train.prepare.stages import views_of
    photo = torch.full((3, 64, 64), 0.25)
    face, region = Face(torch.tensor([20.0, 20.0, 44.0, 44.0]), 1.0), torch.zeros(64, 64, dtype=torch.bool)
    region[20:44, 20:44] = True
    white, plain = (views_of(photo, face, region, Settings(whiten=whiten)) for whiten in (True, False))
    assert float(white.clip[0, :, 5, 5].mean()) == pytest.approx(1, abs=0.01)
    assert float(plain.clip[0, :, 5, 5].mean()) == pytest.approx(0.25, abs=0.01)
    assert float(white.clip[0, :, 112, 112].mean()) == pytest.approx(0.25, abs=0.01)
    assert torch.equal(white.facenet, plain.facenet)


def test_what_prepare_finds_of_a_drawn_picture_is_what_was_drawn(part, recipe, head_model, tmp_path):
    from caphuman_core.head.rotations import matrix_from_axis_angle, yaw_pitch_roll_from_matrix
    from caphuman_train.miniature.album import draw_album, face_of, open_album
    from caphuman_train.miniature.known import Known, KnownFaces
    from caphuman_train.miniature.latents import Latents
    from caphuman_train.miniature.scene import scene_of
    from caphuman_train.miniature.work import Work
    work = Work(tmp_path, replace(recipe, pictures=replace(recipe.pictures, people=2)), lambda line: None)
    draw_album(tmp_path, work.recipe.pictures, head_model)
    latents = torch.arange(8.0)[:, None, None, None].expand(8, 4, 8, 8).unflatten(0, (4, 2))
    known = Known(work, Latents(latents, latents + 0.5))
    pictures = open_album(tmp_path, work.recipe.pictures).pixels.float() / 255
    mean, std = known.latents_of(torch.stack([pictures[2], pictures[3].flip(-1)]))
    assert mean[:, 0, 0, 0].tolist() == [4.0, 7.0]
    assert std[:, 0, 0, 0].tolist() == [4.5, 7.5]
    head = known.head_of(pictures[3])
    wanted = scene_of(head_model, recipe.pictures.seed, 64, 1, 1, recipe.pictures.even_light).head
    assert torch.equal(head.rotation_radians, wanted.rotation_radians)
    assert torch.equal(head.light, wanted.light)
    (face,), = KnownFaces(known).find(pictures[3:])
    nose, yaw = face.points68[30], yaw_pitch_roll_from_matrix(matrix_from_axis_angle(head.rotation_radians))[0]
    inside = known.face_of(pictures[3])
    assert inside[nose[1].long(), nose[0].long()]
    shown = face_of(tmp_path, 1, 1)
    assert (inside & ~shown).sum() > 0.05 * inside.sum(), "what its hair hides is a part of the face"
    assert (shown & ~inside).sum() < 0.02 * inside.sum(), "and nothing else is, but for a rim of pixels"
    assert (nose[0] - face.points68[[0, 16], 0].mean()) * yaw > 0        # a head that looks to the right has its nose there
    assert face.box_xyxy[1] < face.points68[:, 1].min()
    assert box_by(known, pictures[3], nose - 20, nose + 20) == [*(nose - 20).tolist(), *(nose + 20).tolist()]
    assert box_by(known, pictures[3], nose - 30, nose - 29) == face.box_xyxy.tolist()       # something else than the face was found
    assert KnownFaces(known).find(pictures[3:].rot90(1, (2, 3))) == [()]         # what `detect` looks at when a face seems to lie
    with pytest.raises(InputError, match="one that was drawn"):
        known.head_of(torch.zeros(3, 64, 64))
