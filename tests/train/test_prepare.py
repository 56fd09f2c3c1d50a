"""Photos to shards: what is kept and refused, the same bytes whoever makes them, and nothing lost or doubled after a kill."""
from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import narrow_tools
import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from caphuman_core.check import InputError
from caphuman_train.data.drawn import narrow_latents
from caphuman_train.data.loader import batch_at
from caphuman_train.data.shards import Shards
from caphuman_train.data.sources import open_source
from caphuman_train.data.webp import decoded
from caphuman_train.prepare.pool import Here
from caphuman_train.prepare.run import kind_of, prepare
from caphuman_train.prepare.settings import Settings
from tools.stand_ins import GOLDEN, PHOTOS

PACK = Path(__file__).resolve().parents[2]
SIZE = 128
REAL = Settings(SIZE, SIZE, least_face_pixels=24, per_shard=3, flips=True, allow=("CC0-1.0", "cc-by-4.0"), licence="CC0-1.0")
QUICK = Settings(64, 64, least_face_pixels=8, least_sharpness=0.0, per_shard=4)


def no_bars(*_):
    return lambda refused: None


def make(folder, data, settings, load=narrow_tools.load_quick, tools=None, bars=no_bars):
    folder.mkdir(exist_ok=True)
    return prepare(folder, open_source(data), settings, Here(settings, load), tools or {}, bars)


def refused_of(folder):
    rows = (folder / "refused.tsv").read_text().splitlines()[1:]
    return dict(row.split("\t") for row in rows)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Real photos, good and bad in every way that prepare knows."""
    root = tmp_path_factory.mktemp("album")
    for name in ("anna", "berta"):
        (root / name).mkdir()
    shutil.copy(PHOTOS / "man_a_1.jpg", root / "anna" / "1.jpg")
    shutil.copy(PHOTOS / "man_a_2.jpg", root / "anna" / "2.jpg")
    (root / "anna" / "1.txt").write_text("a man before flags")
    (root / "anna" / "1.json").write_text(json.dumps({"licence": "CC-BY-4.0", "source": "https://example.org/a1"}))
    with Image.open(PHOTOS / "man_b_1.jpg") as photo:
        photo.save(root / "berta" / "1.jpg")
        photo.resize((300, 680)).save(root / "a_copy.jpg")
        photo.filter(ImageFilter.GaussianBlur(6)).resize((480, 1090)).crop((0, 40, 470, 1000)).save(root / "blurred.jpg")
        exif = photo.getexif()
        exif[274] = 6                                             # lies on its side, and says so
        photo.crop((0, 0, 484, 700)).rotate(90, expand=True).save(root / "berta" / "2.jpg", exif=exif, quality=95)
    with Image.open(PHOTOS / "man_a_2.jpg") as photo:
        photo.crop((0, 0, 574, 700)).resize((60, 73)).save(root / "small.png")
    shutil.copy(GOLDEN / "face_photo_no_face.png", root / "no_face.png")
    shutil.copy(GOLDEN / "face_photo_two_faces.png", root / "two_faces.png")
    (root / "broken.jpg").write_bytes((PHOTOS / "man_a_3.jpg").read_bytes()[:5000])
    shutil.copy(PHOTOS / "man_a_3.jpg", root / "not_allowed.jpg")
    (root / "not_allowed.json").write_text(json.dumps({"licence": "CC-BY-NC-4.0"}))
    shutil.copy(GOLDEN / "face_photo_astronaut.png", root / "latin.png")
    (root / "latin.txt").write_bytes("une fille à l'école".encode("latin-1"))
    return root


@pytest.fixture(scope="module")
def prepared(album, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "shards"
    make(folder, album, REAL, narrow_tools.load)
    return folder


def test_what_is_kept_and_why_the_rest_is_refused(prepared):
    shards = Shards.open(prepared)
    assert shards.keys == ("anna/1.jpg", "anna/2.jpg", "berta/1.jpg", "berta/2.jpg")
    refused = {key: kind_of(reason) for key, reason in refused_of(prepared).items()}
    assert refused == {"a_copy.jpg": "copy of", "blurred.jpg": "blurred", "broken.jpg": "no picture that can be read",
                       "latin.png": "the caption is in another encoding than UTF-8", "no_face.png": "no face",
                       "not_allowed.jpg": "licence not allowed", "small.png": "too small", "two_faces.png": "several faces"}
    assert refused_of(prepared)["a_copy.jpg"] == "copy of: berta/1.jpg"
    summary = shards.manifest.summary
    assert (summary["samples"], summary["people"], summary["licences"]) == (4, 2, {"CC0-1.0": 3, "CC-BY-4.0": 1})
    assert sum(summary["refused"].values()) == 8
    assert not (prepared / "work").exists()


def test_a_sample_tells_of_its_photo(prepared, head_model):
    shards = Shards.open(prepared)
    one = shards.sample(0)
    assert (one.key, one.person, one.text, one.licence, one.source, one.reference_key) == \
        ("anna/1.jpg", "anna", "a man before flags", "CC-BY-4.0", "https://example.org/a1", "anna/2.jpg")
    assert (one.width, one.height, tuple(one.latent_mean.shape)) == (SIZE, SIZE, (4, SIZE // 8, SIZE // 8))
    assert shards.sample(2).licence == "CC0-1.0"
    assert 0.1 < float(one.face_target.mean()) < 0.6
    batch = batch_at(shards, 0, 4, 0, 0, 1, 0.5, head_model)
    assert batch.hint.shape == (4, 9, SIZE, SIZE)
    covered = torch.nn.functional.max_pool2d(batch.hint[:, 2:3].abs(), 8) > 0
    assert bool((batch.face_target.bool() <= covered).all()), "hint and face target show the same place, flipped or not"


def test_latents_are_those_of_the_target_and_of_its_mirror_image(prepared):
    record = Shards.open(prepared).record(0)
    photo = decoded(record.photo)[None] / 255
    for mean, picture in ((record.latent_mean, photo), (record.flipped_mean, photo.flip(-1))):
        assert float((mean - narrow_latents(picture)[0][0]).abs().mean()) < 0.02       # the stored picture is a lossy webp


def test_identity_goes_the_packs_own_way(prepared):
    """FaceNet's and CLIP's views come from identify(), whitened; its result for the target is what is stored."""
    from caphuman_core.flow import Faces
    from caphuman_core.identity.encode import identify
    tools, shards = narrow_tools.load(), Shards.open(prepared)
    from caphuman_core.pixels import photo_of
    from caphuman_core.render.maps import render
    from caphuman_train.prepare.framing import frame_of
    from caphuman_train.prepare.stages import decode, find_face, fit
    picture = decode((PHOTOS / "man_b_1.jpg").read_bytes())
    with Image.open(PHOTOS / "man_b_1.jpg") as photo:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG")
    picture = decode(buffer.getvalue())
    face, _ = find_face(picture, tools, REAL)
    frame = frame_of(tuple(face.box_xyxy.tolist()), picture.width, picture.height, REAL)
    target, placed = photo_of(frame.cut(picture, REAL)), frame.place(face, REAL)
    head, _ = fit(target, placed, tools)
    region = render(head, tools.fitter.model, SIZE, SIZE).mask[0] > 0
    wanted, views = identify(target[None], Faces(((placed,),), SIZE, SIZE), tools.encoders,
                             whiten=lambda photo: torch.where(region, photo, torch.ones_like(photo)))
    record = shards.record(2)
    torch.testing.assert_close(record.global_embedding, wanted.global_embedding[0])
    torch.testing.assert_close(record.local_tokens, wanted.local_tokens[0], rtol=2e-3, atol=2e-3)      # half precision
    torch.testing.assert_close(decoded(record.face), (views.clip[0] * 255).round())
    torch.testing.assert_close(record.head.rotation_radians, head.rotation_radians)
    white = (decoded(record.face) == 255).all(0).float().mean()
    assert 0.3 < float(white) < 0.95


def test_a_photo_that_lies_on_its_side_is_turned_as_it_says(prepared):
    from caphuman_train.check.facts import facts_of
    shards = Shards.open(prepared)
    upright, turned = (facts_of(shards.record(index)) for index in (2, 3))
    assert abs(turned.roll - upright.roll) < 6
    assert abs(turned.yaw - upright.yaw) < 8


def test_shards_are_as_large_as_asked_and_hold_nothing_of_the_machine(prepared):
    shards = Shards.open(prepared)
    content = (prepared / "shard-000000.tar").read_bytes()
    assert len(shards.manifest.shards) >= 2
    assert str(PACK).encode() not in content
    import tarfile
    with tarfile.open(prepared / "shard-000000.tar") as tar:
        assert {(info.mtime, info.uid, info.uname) for info in tar} == {(0, 0, "")}
    assert str(PACK) not in (prepared / "manifest.json").read_text()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """23 drawings that the quick tools take for faces, a black one and two broken ones; some are copies."""
    root = tmp_path_factory.mktemp("many")
    random = np.random.default_rng(0)
    for number in range(23):
        pixels = random.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 80), Image.Resampling.BICUBIC).save(root / f"{number:03}.png")
    shutil.copy(root / "004.png", root / "100_copy.png")
    Image.new("RGB", (80, 80)).save(root / "101_black.png")
    (root / "102.png").write_bytes(b"broken")
    return root


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())
            if path.suffix in (".tar", ".tsv") or path.name == "manifest.json"}


@pytest.fixture(scope="module")
def whole(many, tmp_path_factory):
    """What one undisturbed run gives."""
    folder = tmp_path_factory.mktemp("whole") / "shards"
    make(folder, many, QUICK)
    assert len(Shards.open(folder)) == 23
    return digests(folder)


def command(data, folder, *more):
    return [sys.executable, "-P", str(Path(__file__).with_name("prepare_quick.py")), str(data), str(folder), "--size", "64",
            "--least-face", "8", "--least-sharpness", "0", "--per-shard", "4", *more]


def environment(slow="0"):
    path = os.pathsep.join([str(PACK), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "CAPHUMAN_TEST_SLOW": slow, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def test_the_same_shards_whatever_the_number_of_workers(many, whole, tmp_path):
    done = subprocess.run(command(many, tmp_path / "two", "--workers", "2"), env=environment(), capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert "23 samples of 23 people in 6 shards" in done.stdout
    assert digests(tmp_path / "two") == whole


def children_of(process):
    import psutil
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.thorough
def test_killed_at_any_moment_nothing_is_lost_or_doubled(many, whole, tmp_path):
    """kill -9 as soon as each of some things has come to be; the workers end with their parent."""
    import psutil

    def working(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            return process.status() != psutil.STATUS_ZOMBIE          # ended, though nobody has asked how
        return False
    folder = tmp_path / "shards"
    moments = [("1", lambda: (folder / "work" / "survey-000000.json").is_file()), ("2", lambda: any(folder.glob("shard-*.tar"))),
               ("1", lambda: len(list(folder.glob("shard-*.tar"))) >= 4)]
    for workers, moment in moments:
        process = subprocess.Popen(command(many, folder, "--workers", workers), env=environment("0.2"), stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL)
        while not moment() and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, "it was too fast to be killed"
        family = children_of(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, left = psutil.wait_procs(family, timeout=30)
        assert not [one for one in left if working(one)], "workers outlive their parent"
    assert not (folder / "manifest.json").exists()
    first = sorted(folder.glob("shard-*.tar"))[0].stat().st_mtime_ns
    assert make(folder, many, QUICK, tools=json.loads((folder / "prepare.json").read_text())["tools"])
    assert digests(folder) == whole
    assert sorted(folder.glob("shard-*.tar"))[0].stat().st_mtime_ns == first, "what was done is not done again"
    assert not list(folder.rglob("*.part"))


def test_a_shard_without_its_note_and_a_note_without_its_shard_are_made_again(many, whole, tmp_path):
    """The moments between two files: written, but not yet told; told, but taken away."""
    folder = tmp_path / "shards"

    class Stopped(Exception):
        pass

    def bars(phase, total, done, refused):
        def step(_):
            if phase == "shards" and len(list(folder.glob("shard-*.tar"))) == 3:
                raise Stopped
        return step
    with pytest.raises(Stopped):
        make(folder, many, QUICK, bars=bars)
    (folder / "work" / "shard-000001.json").unlink()
    (folder / "shard-000000.tar").unlink()
    make(folder, many, QUICK)
    assert digests(folder) == whole


def test_a_finished_folder_is_left_as_it_is(many, whole, tmp_path):
    folder = tmp_path / "shards"
    make(folder, many, QUICK)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    def never():
        raise AssertionError("networks are loaded for nothing")
    make(folder, many, QUICK, never)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_other_settings_networks_or_photos_are_refused_with_what_differs(many, tmp_path):
    data, folder = shutil.copytree(many, tmp_path / "data"), tmp_path / "shards"
    make(folder, data, QUICK, tools={"vae": "/a"})
    other = Settings(64, 64, least_face_pixels=8, least_sharpness=0.0, per_shard=5)
    with pytest.raises(InputError, match="must be gone on with as it was begun, but got per shard 5 in place of 4"):
        make(folder, data, other, tools={"vae": "/a"})
    with pytest.raises(InputError, match="but got vae /b in place of /a"):
        make(folder, data, QUICK, tools={"vae": "/b"})
    (data / "001.png").write_bytes((data / "002.png").read_bytes())
    with pytest.raises(InputError, match="but got photos that have changed"):
        make(folder, data, QUICK, tools={"vae": "/a"})
    (data / "001.png").unlink()
    with pytest.raises(InputError, match="but got 25 photos in place of 26"):
        make(folder, data, QUICK, tools={"vae": "/a"})


def test_machines_with_other_networks_are_refused(many, tmp_path):
    calls = []

    def load():
        from dataclasses import replace
        calls.append(1)
        tools = narrow_tools.load_quick()
        return replace(tools, versions={**tools.versions, "vae": f"vae {len(calls)}"})

    class TwoMachines:
        def run(self, tasks):
            machines = [Here(QUICK, load), Here(QUICK, load)]
            for number, task in enumerate(tasks):
                yield from machines[number % 2].run([task])
    (tmp_path / "shards").mkdir()
    with pytest.raises(InputError, match="the vae must be the same for all shards, but got vae 1 and vae 2"):
        prepare(tmp_path / "shards", open_source(many), QUICK, TwoMachines(), {}, no_bars)


def test_a_folder_without_faces_says_why_everything_was_refused(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(data / f"{number}.png")
    with pytest.raises(InputError, match="must leave something to learn from, but got 3 refused: 3 no face: look at refused"):
        make(tmp_path / "shards", data, REAL, narrow_tools.load)
    assert set(refused_of(tmp_path / "shards").values()) == {"no face"}


def test_a_folder_without_photos_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="the data must hold photos, but got none"):
        make(tmp_path / "shards", tmp_path / "data", QUICK)


def test_a_folder_that_holds_something_else_is_not_touched(many, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"must be new or hold shards, but got one with thesis.txt"):
        make(tmp_path, many, QUICK)


def test_two_at_once_on_one_folder_are_refused(many, tmp_path, capsys):
    from caphuman_bench.folder import locked
    from caphuman_train.cli import main
    with locked(tmp_path / "shards", "prepare"):
        assert main(["prepare", str(many), str(tmp_path / "shards"), "--workers", "0"]) == 1
    assert "shards folder" in (said := capsys.readouterr().err)
    assert "must be free, but got a folder in use by 'prepare' on" in said


@pytest.mark.parametrize(("options", "said"), [
    (["--size", "500"], "width must be a multiple of 64 from 64 to 2048, but got 500"),
    (["--size", "large"], "--size must be a number of pixels"),
    (["--column", "image"], "--column must be ROLE=NAME"),
    (["--face-share", "2"], "face share must be from 0 to 1, but got 2"),
    (["--workers", "-1"], "--workers must be 1 or more with --ray, else 0 or more, but got -1"),
    (["--per-shard", "0"], "photos per shard must be from 1 to 4096")])
def test_options_that_make_no_sense_are_one_sentence(many, tmp_path, capsys, options, said):
    from caphuman_train.cli import main
    assert main(["prepare", str(many), str(tmp_path / "shards"), *options]) == 1
    assert said in capsys.readouterr().err


def test_missing_networks_are_named_with_where_to_get_them(many, tmp_path, capsys, monkeypatch):
    from caphuman_train.cli import main
    assert main(["prepare", str(many), str(tmp_path / "shards"), "--models", str(tmp_path), "--workers", "0", "--size", "64"]) == 1
    said = capsys.readouterr().err
    assert "prepare needs FaceNet (VGGFace2): it must be in the models folder or be named, but got neither: get it from" in said
    assert "--facenet FILE" in said


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(many, whole, tmp_path, monkeypatch, capsys):
    import errno

    from caphuman_train import cli
    from caphuman_train.prepare import journal
    folder, real = tmp_path / "shards", journal.write_whole
    monkeypatch.setattr("caphuman_train.prepare.tools.ToolFiles.load", property(lambda files: narrow_tools.load_quick))

    def full(path, content):
        if path.name == "shard-000002.tar":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)
    words = command(many, folder, "--workers", "0")[3:]
    monkeypatch.setattr(journal, "write_whole", full)
    assert cli.main(["prepare", *words]) == 1
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.setattr(journal, "write_whole", real)
    assert cli.main(["prepare", *words]) == 0
    assert digests(folder) == whole
