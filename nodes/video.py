"""Heads from the frames of a video."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import torch
from comfy_api.v0_0_2 import InputImpl, io

from ..caphuman_core.check import fail, require, require_image
from ..caphuman_core.face.options import IF_FRAME_WITHOUT_FACE
from . import host, wires
from .sequence import CATEGORY, strip_of

AT_ONCE = 8                      # frames decoded and searched together: memory does not grow with the clip
STILLS_PER_SECOND = 24.0         # an image batch does not say how fast it runs


class Clip(NamedTuple):
    """Frames as they are decoded; only those that are used become pictures."""

    frames: Iterator[Any]
    picture: Callable[[Any], torch.Tensor]       # a frame as [3, H, W], 0..1
    per_second: float
    total: int                                   # estimated, for the progress bar

    def chosen(self, start: int, every: int, most: int) -> Iterator[torch.Tensor]:
        """The pictures of frames start, start + every, ...; at most `most`, 0 for no limit."""
        return map(self.picture, itertools.islice(self.frames, start, start + every * most if most else None, every))

    def expected(self, start: int, every: int, most: int) -> int:
        """How many pictures that will be, if `total` is right; at least 1."""
        left = max(1, -(-(self.total - start) // every))
        return min(left, most) if most else left


class HeadsFromVideo(io.ComfyNode):
    """Video or image batch -> a batch of heads, one per frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanHeadsFromVideo", display_name="CapHuman Heads from Video", category=CATEGORY,
            description="Fits a head to every frame of a driving video or image batch; follows one person, takes the jitter out.",
            search_aliases=["driving video", "head tracking", "face capture", "motion capture", "reenactment", "performance",
                            "live portrait"],
            inputs=[
                wires.FaceDetector.Input("detector", tooltip="From CapHuman Load Face Detector; mediapipe also reads expressions."),
                wires.HeadModel.Input("head_model", tooltip="The head model to fit."),
                io.Video.Input("video", optional=True, tooltip="The driving video; or connect images."),
                io.Image.Input("images", optional=True,
                               tooltip="The driving frames as a batch, taken as 24 per second; or connect video."),
                wires.HeadFitter.Input("head_fitter", optional=True,
                                       tooltip="DECA, for FLAME head models; without it landmarks are fitted."),
                io.Int.Input("start_frame", default=0, min=0, max=1000000, optional=True,
                             tooltip="First frame that is used; 0 is the clip's first."),
                io.Int.Input("every_nth", default=1, min=1, max=1000, optional=True,
                             tooltip="1 uses every frame, 2 every other one, and so on."),
                io.Int.Input("max_frames", default=0, min=0, max=100000, optional=True,
                             tooltip="At most so many heads; 0 is no limit."),
                io.Float.Input("smoothing", default=0.3, min=0.0, max=1.0, step=0.01, optional=True,
                               tooltip="0 none, 0.3 takes a detector's jitter out, 1 averages over about half a second. "
                                       "Nothing lags behind."),
                io.Combo.Input("if_no_face", options=list(IF_FRAME_WITHOUT_FACE), default=IF_FRAME_WITHOUT_FACE[0], optional=True,
                               tooltip="A frame without the face: a head between its neighbours, an empty place, or an error. No "
                                       "frame is ever dropped."),
                io.Boolean.Input("steady", default=True, optional=True,
                                 tooltip="On: shape, skin and light are the clip's medians, so that only pose, place, expression "
                                         "and jaw move."),
                io.Boolean.Input("with_overlay", default=False, optional=True,
                                 tooltip="Also draw the fitted heads over the frames; needs memory for every frame."),
            ],
            outputs=[
                wires.Head.Output("head", display_name="head",
                                  tooltip="A batch of heads, one per frame used; if_no_face says what stands where no face was "
                                          "seen."),
                io.Image.Output("strip", display_name="strip",
                                tooltip="Up to 12 of the heads in a row, numbered from 0; it says which were filled in."),
                io.Image.Output("overlay", display_name="overlay",
                                tooltip="The heads over the frames, when with_overlay is on; else the strip."),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second of the heads, for Create Video."),
            ])

    @classmethod
    def execute(cls, detector, head_model, video=None, images=None, head_fitter=None, start_frame=0, every_nth=1, max_frames=0,
                smoothing=0.3, if_no_face=IF_FRAME_WITHOUT_FACE[0], steady=True, with_overlay=False) -> io.NodeOutput:
        from ..caphuman_core.flow import Head
        from ..caphuman_core.head.edit import sequence
        require((video is None) != (images is None), "video", "or images must be connected, one of them",
                "none" if video is None else "both", "connect a Load Video node, or a batch of images")
        clip, choice = _stills(images) if video is None else _filmed(video), (start_frame, every_nth, max_frames)
        rate = clip.per_second / every_nth
        heads, kept = [], []
        for photos, found in _fitted(clip.chosen(*choice), detector, head_model, head_fitter, clip.expected(*choice)):
            heads.append(found)
            if with_overlay:
                kept.append(photos)
        require(bool(heads), "video", f"must have a frame at start_frame {start_frame}", "a shorter clip", "lower start_frame")
        seen = Head.stack(heads)
        batch = _without_gaps(seen, if_no_face, range(start_frame, start_frame + every_nth * len(seen), every_nth))
        batch = sequence.steady(batch) if steady else batch
        batch = sequence.smooth(batch, head_model, smoothing, rate)
        strip = strip_of(batch, head_model, filled=(batch.present & ~seen.present).tolist())
        return io.NodeOutput(batch, strip, _overlay(kept, batch, head_model) if with_overlay else strip, rate)


def _without_gaps(heads, if_no_face: str, numbers: Sequence[int]):
    """The batch with frames without a face dealt with as asked; numbers: which frames of the clip they are."""
    from ..caphuman_core.head.edit import sequence
    missing = [numbers[index] for index in (~heads.present).nonzero().flatten().tolist()]
    if missing and if_no_face == "error":
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        fail("video", "must show the face in every frame", f"none in frame {', '.join(map(str, missing[:8]))}{more}",
             "choose another if_no_face, or another part of the clip")
    if if_no_face == "interpolate" or len(missing) == len(heads):
        return sequence.fill_gaps(heads)
    return heads


def _fitted(frames: Iterator[torch.Tensor], detector, head_model, head_fitter, expected: int):
    """(photos [B, 3, H, W], heads) of the frames, AT_ONCE together; the face is followed from one piece to the next."""
    from ..caphuman_core.face.detection import detect
    from ..caphuman_core.face.search import Search
    from ..caphuman_core.face.track import Track
    from ..caphuman_core.head.fit.from_photo import fit_photos, fit_photos_by_deca
    done, track, count, size = host.progress_callback(max(1, expected)), Track(), 0, None
    while piece := list(itertools.islice(frames, AT_ONCE)):
        size = size or piece[0].shape
        for picture in piece:
            require(picture.shape == size, "video", "must keep one picture size", f"{_size(size)}, then {_size(picture.shape)}",
                    "choose a part with start_frame and max_frames, or save it again as .mp4")
        photos = torch.stack(piece)
        faces = track.choose(detect(detector.ready(), photos, if_none="skip", search=Search(heed=host.stop_if_interrupted)))
        heads = (fit_photos(photos, faces, head_model) if head_fitter is None
                 else fit_photos_by_deca(photos, faces, head_fitter.encode, head_model))
        count += len(piece)
        done(min(count, expected))
        yield photos, heads
    done(expected)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[-1]} x {shape[-2]}"


def _overlay(pieces: list[torch.Tensor], heads, head_model):
    from ..caphuman_core.render.overlay import overlay
    return host.to_image(overlay(torch.cat(pieces), heads, head_model, host.progress_callback(len(heads))))


def _stills(images, per_second: float = STILLS_PER_SECOND) -> Clip:
    require_image("images", images)
    return Clip(iter(images), lambda image: host.rgb01(image[None])[0].cpu().float(), per_second, len(images))


def _filmed(video) -> Clip:
    """The clip of a host VIDEO, decoded one frame at a time; refuses what is no video."""
    if isinstance(video, InputImpl.VideoFromComponents):         # made in this graph: its frames are in memory already
        components = video.get_components()
        return _stills(components.images, float(components.frame_rate))
    from av.error import FFmpegError
    try:
        rate = float(video.get_frame_rate())
    except (FFmpegError, ValueError, OSError, ZeroDivisionError) as error:
        _no_video(error)
    return Clip(_decoded(video), _picture, rate or STILLS_PER_SECOND, _counted(video, rate))


def _counted(video, rate: float) -> int:
    """About how many frames the file has, as far as it says; 0 where it does not."""
    from av.error import FFmpegError
    try:
        count = int(video.get_frame_count())
        return count if count > 1 else round(video.get_duration() * rate)        # the host counts one frame of a Matroska file
    except (FFmpegError, ValueError, TypeError, OSError, ZeroDivisionError):
        return 0


def _decoded(video) -> Iterator[Any]:
    """The frames of the video's active part, as PyAV decodes them; heeds an interrupt at each, also at those passed over."""
    import av
    from av.error import FFmpegError
    start, duration = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()     # hosts before 0.24 cannot trim
    count = 0
    try:
        with av.open(video.get_stream_source(), mode="r") as container:
            for frame in container.decode(container.streams.video[0]):
                host.stop_if_interrupted()
                time = frame.time or 0.0
                if duration and time >= start + duration:
                    return
                if time >= start:
                    yield frame
                    count += 1
    except (FFmpegError, OSError, IndexError) as error:
        _no_video(error, count)


def _picture(frame) -> torch.Tensor:
    """A decoded frame as [3, H, W], 0..1, the way up it is shown."""
    from ..caphuman_core.pixels import photo_of
    pixels = photo_of(frame.to_ndarray(format="rgb24"))
    return torch.rot90(pixels, round(getattr(frame, "rotation", 0) / 90) % 4, (1, 2)).contiguous()


def _no_video(error: Exception, whole: int = 0) -> NoReturn:
    """Refuse a file, without the host's folders; whole: how many of its frames could be decoded."""
    said = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0].split(" in file ")[0]
    fix = "choose a film with pictures, or save it again, for example as .mp4"
    if whole:
        said, fix = f"{said} after frame {whole - 1}", f"save it again, or use its first {whole} frames with max_frames"
    fail("video", "must be a file that can be decoded to its end", f"'{said[:120]}'", fix)


NODES = [HeadsFromVideo]
