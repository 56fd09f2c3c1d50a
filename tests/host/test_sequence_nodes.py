"""Keyframes and driving videos through the host's nodes: real photos moved by known amounts, in a real video file."""
from __future__ import annotations

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "tests" / "golden" / "face_photo_astronaut.png"
STEP, FRAMES = 6, 9                       # pixels the photo moves from frame to frame


@pytest.fixture(scope="module")
def core(pack):
    return lambda name: importlib.import_module(f"{pack.__name__}.caphuman_core.{name}")


@pytest.fixture
def model(call):
    return call("CapHumanLoadHeadModel", head_model_name="built-in")[0]


@pytest.fixture
def detector(call):
    return call("CapHumanLoadFaceDetector", backend="mtcnn", model_name="auto")[0]


@pytest.fixture(scope="module")
def frames():
    """[N, H, W, 3]: the astronaut's upper body moving to the right, STEP pixels a frame."""
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    return [np.ascontiguousarray(np.roll(photo, STEP * i, axis=1)[:240, 90:346]) for i in range(FRAMES)]


@pytest.fixture(scope="module")
def clip(frames, tmp_path_factory):
    return write(tmp_path_factory.mktemp("clip") / "clip.mp4", frames)


def write(path, pictures, rate=25, options=None, group=12):
    import av
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "12", "g": str(group)}
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def video(path):
    from comfy_api.latest import InputImpl
    return InputImpl.VideoFromFile(str(path))


def places(core, heads, model):
    return core("head.pivot").pivot(heads, model)


def test_a_moving_photo_gives_a_moving_head(call, core, clip, model, detector):
    heads, strip, overlay, fps = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip),
                                      smoothing=0.0)
    assert (len(heads), fps) == (FRAMES, 25.0)
    steps = places(core, heads, model).diff(dim=0).mean(0)
    # the detector's points wander by a pixel or two from frame to frame; over nine frames that averages out
    assert float(steps[0]) == pytest.approx(STEP, abs=1.0)
    assert float(steps[1]) == pytest.approx(0, abs=1.0)
    assert strip.shape[2] > strip.shape[1] * 4
    assert overlay.shape == strip.shape


def test_the_same_frames_as_images_give_the_same_heads(call, core, frames, clip, model, detector):
    images = torch.from_numpy(np.stack(frames[:4])).float() / 255
    heads, _, overlay, fps = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, images=images, smoothing=0.0,
                                  with_overlay=True)
    filmed, *_ = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip), smoothing=0.0, max_frames=4)
    assert (fps, overlay.shape) == (24.0, images.shape)
    assert not torch.equal(overlay, images)
    # compression moves detected points by a pixel or two
    assert float((places(core, heads, model) - places(core, filmed, model)).abs().max()) < 6


def test_parts_of_a_clip_are_chosen_by_their_frames(call, core, clip, model, detector):
    def run(**choice):
        return call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip), smoothing=0.0, steady=False,
                    **choice)
    every, *_ = run()
    heads, _, _, fps = run(start_frame=2, every_nth=3, max_frames=2)
    assert (len(heads), fps) == (2, pytest.approx(25 / 3))
    near = places(core, heads, model) - places(core, every, model)[[2, 5]]
    assert float(near.abs().max()) < 1e-2, "frames 2 and 5 of the clip"


def test_frames_without_the_face_keep_their_place(call, clip, frames, model, detector, tmp_path):
    blank = np.full_like(frames[0], 40)
    path = write(tmp_path / "gap.mp4", [frames[0], blank, frames[4]])
    given = {"detector": detector, "head_model": model, "smoothing": 0.0}
    heads, *_ = call("CapHumanHeadsFromVideo", video=video(path), **given)
    assert heads.present.tolist() == [True, True, True]
    heads, *_ = call("CapHumanHeadsFromVideo", video=video(path), if_no_face="leave empty", **given)
    assert heads.present.tolist() == [True, False, True]
    for choice, frame in (({}, 1), ({"start_frame": 1, "every_nth": 2}, 1)):
        with pytest.raises(ValueError, match=f"none in frame {frame}:"):
            call("CapHumanHeadsFromVideo", video=video(path), if_no_face="error", **given, **choice)
    with pytest.raises(ValueError, match="at least one frame"):
        call("CapHumanHeadsFromVideo", video=video(write(tmp_path / "none.mp4", [blank, blank])), **given)


def test_what_is_no_video_is_refused_in_a_sentence(call, clip, model, detector, tmp_path):
    text, cut = tmp_path / "text.mp4", tmp_path / "cut.mp4"
    text.write_text("not a film")
    cut.write_bytes(clip.read_bytes()[:3000])
    for path in (text, cut):
        with pytest.raises(ValueError, match=r"video must be a file that can be decoded") as failure:
            call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(path))
        assert "\n" not in str(failure.value)
        assert str(tmp_path) not in str(failure.value), "the host's folders are nobody's business"
    for given in ({}, {"video": video(clip), "images": torch.zeros(1, 64, 64, 3)}):
        with pytest.raises(ValueError, match="one of them"):
            call("CapHumanHeadsFromVideo", detector=detector, head_model=model, **given)
    with pytest.raises(ValueError, match="start_frame"):
        call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip), start_frame=500)


def test_grey_and_transparent_frames_and_a_single_one(call, frames, model, detector):
    picture = torch.from_numpy(frames[0]).float()[None] / 255
    for images in (picture.mean(-1, keepdim=True), torch.cat([picture, torch.ones_like(picture[..., :1])], -1)):
        heads, *_ = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, images=images)
        assert heads.present.tolist() == [True]


def test_memory_does_not_grow_with_the_clip(call, pack, clip, model, detector, monkeypatch):
    """No more frames are alive than are searched together."""
    module = importlib.import_module(f"{pack.__name__}.nodes.video")
    alive, most, picture = [0], [0], module._picture

    class Counted(torch.Tensor):
        def __del__(self):
            alive[0] -= 1

    def counted(frame):
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        return picture(frame).as_subclass(Counted)
    monkeypatch.setattr(module, "_picture", counted)
    monkeypatch.setattr(module, "AT_ONCE", 2)
    call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip))
    assert most[0] < FRAMES - 2


def test_frames_that_are_not_used_are_not_made_into_pictures(call, pack, clip, model, detector, monkeypatch):
    module = importlib.import_module(f"{pack.__name__}.nodes.video")
    made, picture = [], module._picture
    monkeypatch.setattr(module, "_picture", lambda frame: made.append(1) or picture(frame))
    heads, *_ = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip), start_frame=1, every_nth=3,
                     max_frames=2)
    assert (len(heads), len(made)) == (2, 2)


def test_an_interrupt_stops_between_pieces(call, pack, clip, model, detector, monkeypatch):
    import comfy.model_management as management
    module = importlib.import_module(f"{pack.__name__}.nodes.video")
    made, picture = [], module._picture

    def interrupting(frame):
        made.append(1)
        management.interrupt_current_processing(True)
        return picture(frame)
    monkeypatch.setattr(module, "_picture", interrupting)
    monkeypatch.setattr(module, "AT_ONCE", 2)
    with pytest.raises(management.InterruptProcessingException):
        call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip))
    assert len(made) == 1


def test_an_interrupt_is_heeded_while_frames_are_passed_over(call, clip, model, detector, monkeypatch):
    import comfy.model_management as management
    from comfy_api.latest import InputImpl
    monkeypatch.setattr(InputImpl.VideoFromFile, "get_stream_source",
                        lambda _: management.interrupt_current_processing(True) or str(clip))
    with pytest.raises(management.InterruptProcessingException):
        call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip), start_frame=100000)


def test_a_film_damaged_at_its_end_says_how_much_of_it_is_whole(call, frames, model, detector, tmp_path):
    path = write(tmp_path / "whole.mp4", frames * 4, options={"movflags": "faststart"}, group=1)
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) * 3 // 4])
    given = {"detector": detector, "head_model": model, "video": video(path), "every_nth": 4}
    with pytest.raises(ValueError, match="with max_frames") as failure:
        call("CapHumanHeadsFromVideo", **given)
    good = int(re.search(r"first (\d+) frames", str(failure.value))[1])
    assert 4 < good < 36
    assert len(call("CapHumanHeadsFromVideo", max_frames=good // 4, **given)[0]) == good // 4


def test_a_file_with_sound_only_is_told_so(call, model, detector, tmp_path):
    import av
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux([*stream.encode(sound), *stream.encode()])
    with pytest.raises(ValueError, match=r"'No video stream found': choose a film with pictures"):
        call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(path))


def test_a_film_that_changes_its_picture_size_is_refused_in_a_sentence(call, frames, model, detector, tmp_path):
    small = [np.ascontiguousarray(frame[::2, ::2]) for frame in frames[:2]]
    parts = [write(tmp_path / f"{name}.ts", pictures).read_bytes() for name, pictures in (("large", frames[:2]), ("small", small))]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    with pytest.raises(ValueError, match="must keep one picture size, but got 256 x 240, then 128 x 120"):
        call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(tmp_path / "both.ts"))


def test_the_progress_bar_knows_the_length_of_a_matroska_file(call, pack, frames, model, detector, monkeypatch, tmp_path):
    host, bars = importlib.import_module(f"{pack.__name__}.nodes.host"), []

    def bar(total):
        bars.append((total, []))
        return bars[-1][1].append
    monkeypatch.setattr(host, "progress_callback", bar)
    path = write(tmp_path / "clip.mkv", frames[:3])
    call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(path))
    total, steps = bars[0]
    assert total == pytest.approx(3, abs=1)
    assert steps[-1] == total


def test_a_film_that_does_not_say_how_long_it_is_is_followed_all_the_same(call, clip, model, detector, monkeypatch):
    from comfy_api.latest import InputImpl

    def unknown(_):
        raise TypeError
    monkeypatch.setattr(InputImpl.VideoFromFile, "get_frame_count", unknown)
    assert len(call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip), max_frames=2)[0]) == 2


def test_the_strip_says_which_heads_were_filled_in(call, pack, clip, frames, model, detector, monkeypatch):
    strips, said = importlib.import_module(f"{pack.__name__}.caphuman_core.render.strip"), []
    draw = strips.strip
    monkeypatch.setattr(strips, "strip", lambda pictures, captions: said.append(captions) or draw(pictures, captions))
    images = torch.from_numpy(np.stack([frames[0], np.full_like(frames[0], 40), frames[4]])).float() / 255
    for choice in ("interpolate", "leave empty"):
        call("CapHumanHeadsFromVideo", detector=detector, head_model=model, images=images, if_no_face=choice)
    assert said == [["0", "1 filled in", "2"], ["0", "1 no face", "2"]]


def test_a_tilted_photo_gives_tilted_heads(call, core, model, detector):
    """The photo turned in its plane by known angles: the heads roll by the same."""
    angles = (-12, -6, 0, 6, 12)
    photo = Image.open(PHOTO).convert("RGB")
    turned = [np.asarray(photo.rotate(-angle, resample=Image.Resampling.BICUBIC, center=(224, 120)).crop((90, 0, 346, 240)))
              for angle in angles]
    heads, *_ = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, smoothing=0.0,
                     images=torch.from_numpy(np.stack(turned)).float() / 255)
    rotations = core("head.rotations")
    roll = rotations.yaw_pitch_roll_from_matrix(rotations.matrix_from_axis_angle(heads.rotation_radians))[2]
    # five points that wander by a pixel, 40 apart, are 1.5 degrees; yaw and pitch take a little of the turn
    assert (roll - roll[2]).tolist() == pytest.approx(angles, abs=3.0)


def test_smoothing_calms_a_shaky_clip_without_lag(call, core, model, detector):
    shake = np.random.default_rng(5).integers(-4, 5, (16, 2))
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    pictures = [np.roll(photo, (dy, 3 * i + dx), axis=(0, 1))[:240, 90:346] for i, (dy, dx) in enumerate(shake)]
    images = torch.from_numpy(np.stack(pictures)).float() / 255
    heads, *_ = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, images=images, smoothing=0.0)
    raw, calm = (places(core, batch, model) for batch in (heads, core("head.edit.sequence").smooth(heads, model, 0.5, 24.0)))

    def jitter(track):
        return float(track.diff(n=2, dim=0).abs().mean())
    assert jitter(calm) < 0.25 * jitter(raw)
    # a causal filter as wide as this one (2.4 frames) would trail the 3 pixels a frame by more than 5 pixels
    assert float((calm - raw)[3:-3, 0].mean().abs()) < 1.5


def test_the_first_frames_largest_face_is_followed(call, core, model, detector):
    """Two people: the smaller one grows larger than the one who is followed, who walks to the right."""
    face = Image.open(PHOTO).convert("RGB").crop((124, 20, 324, 240))
    pictures = []
    for frame in range(4):
        scene = Image.new("RGB", (480, 200), (90, 90, 90))
        scene.paste(face.resize((150, 165)), (5 + 15 * frame, 20))
        other = (110 + 25 * frame, 121 + 27 * frame)
        scene.paste(face.resize(other), (280, 0))
        pictures.append(np.asarray(scene))
    heads, *_ = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, smoothing=0.0,
                     images=torch.from_numpy(np.stack(pictures)).float() / 255)
    along = places(core, heads, model)[:, 0]
    assert float(along.max()) < 240
    assert along.diff().tolist() == pytest.approx([15] * 3, abs=4)


def test_a_driving_batch_drives_another_person(call, core, clip, model, detector):
    heads, *_ = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video(clip), max_frames=3)
    person = call("CapHumanNewHead", head_model=model, width=256, height=256)[0]
    driven, = call("CapHumanTransferHead", source=person, target=heads, position=True, pose=True, expression=True, lighting=True)
    hint, *pictures = call("CapHumanRenderHead", head=driven, head_model=model, width=64, height=64, rasterizer="torch")
    assert hint.maps.shape == (3, 9, 64, 64)
    assert len(pictures[0]) == 3


# --- keyframes

def edited(call, core, model, yaw):
    head = call("CapHumanNewHead", head_model=model, width=128, height=128)[0]
    still = dict.fromkeys(("pitch_degrees", "roll_degrees", "x", "y", "jaw_degrees", *core("head.edit.recipes").EXPRESSIONS), 0.0)
    return call("CapHumanEditHead", head=head, head_model=model, yaw_degrees=yaw, scale=1.0, mode="add", **still)[0]


def yaws(core, heads):
    rotations = core("head.rotations")
    return rotations.yaw_pitch_roll_from_matrix(rotations.matrix_from_axis_angle(heads.rotation_radians))[0].tolist()


def test_two_ends_blend_as_they_always_did(call, core, model):
    a, b = edited(call, core, model, -40.0), edited(call, core, model, 40.0)
    heads, strip = call("CapHumanBlendHeads", head_a=a, head_b=b, frames=5, easing="linear")
    assert yaws(core, heads) == pytest.approx([-40, -20, 0, 20, 40], abs=1e-3)
    assert strip.shape[0] == 1


def test_keyframes_stand_between_the_ends(call, core, model):
    left, front, right = (edited(call, core, model, yaw) for yaw in (-60.0, 0.0, 30.0))
    keys, = call("CapHumanHeadKeyframe", head=front, frame=2, easing="linear")
    heads, strip = call("CapHumanBlendHeads", head_a=left, head_b=right, frames=6, easing="linear", keyframes=keys,
                        head_model=model)
    assert yaws(core, heads) == pytest.approx([-60, -30, 0, 10, 20, 30], abs=1e-3)
    assert float(strip.max()) > 0.3
    keys, = call("CapHumanHeadKeyframe", head=right, frame=4, easing="linear", keyframes=keys)
    heads, _ = call("CapHumanBlendHeads", frames=6, easing="linear", keyframes=keys)
    assert yaws(core, heads) == pytest.approx([0, 0, 0, 15, 30, 30], abs=1e-3)
    with pytest.raises(ValueError, match="at least one head"):
        call("CapHumanBlendHeads", frames=6, easing="linear")
    with pytest.raises(ValueError, match="different frames"):
        call("CapHumanBlendHeads", head_a=left, frames=6, easing="linear",
             keyframes=call("CapHumanHeadKeyframe", head=front, frame=0, easing="linear")[0])
