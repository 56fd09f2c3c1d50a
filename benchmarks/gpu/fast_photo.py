"""From a photo to a conditioning, through a graph's nodes, stage by stage; heads from a video; the editor beside sampling."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from . import host
from . import world as worlds
from .clock import each, seconds
from .rows import Row, Setting, Values
from .targets import MILLISECONDS, WHOLE

ROUNDS = 5
FRAMES = {"full": 32, "narrow": 2}
SIDE = {"full": 512, "narrow": 64}       # of the hint


@dataclass(frozen=True)
class Tools:
    """Loaded models, as they travel between nodes."""

    part: Callable[[str], ModuleType]
    detector: Any
    encoder: Any
    clip_vision: Any
    head_model: Any
    world: worlds.World


@cache
def tools(setting: Setting) -> Tools:
    """Once for all rows. FaceNet and CLIP hold made-up weights: their arithmetic is the same."""
    part = host.start(setting)
    from caphuman_core.face.detectors.mtcnn import Mtcnn
    from caphuman_core.head.model.head_model import load_builtin
    from tools.stand_ins import face_nets
    patcher, mtcnn = part("nodes.host").patcher, Mtcnn()
    return Tools(part, part("nodes.faces").FaceDetector(mtcnn, patcher(mtcnn)),
                 part("nodes.identity").IdentityEncoder(patcher(face_nets.facenet()), "untrained"),
                 face_nets.clip_tower(layers=24 if setting.full else 1), load_builtin(), worlds.make(setting))


@cache
def photo() -> Any:
    """The astronaut as an IMAGE [1, H, W, 3]."""
    from tools.stand_ins.people import golden_photo
    return golden_photo("astronaut")[None].movedim(1, -1).contiguous()


Stage = Callable[[Tools, dict[str, Any], int], dict[str, Any]]


def _detect(t: Tools, made: dict[str, Any], side: int) -> dict[str, Any]:
    node = t.part("nodes.faces").DetectFaces
    return {"faces": node.execute(photo(), t.detector, 0.5, 1, "largest", "error").result[0]}


def _identify(t: Tools, made: dict[str, Any], side: int) -> dict[str, Any]:
    node = t.part("nodes.identity").EncodeIdentity
    return {"identity": node.execute(photo(), made["faces"], t.encoder, t.clip_vision).result[0]}


def _fit(t: Tools, made: dict[str, Any], side: int) -> dict[str, Any]:
    node = t.part("nodes.fit_head").FitHeadLandmarks
    return {"head": node.execute(photo(), made["faces"], t.head_model).result[0]}


def _draw(t: Tools, made: dict[str, Any], side: int) -> dict[str, Any]:
    node = t.part("nodes.render").RenderHead
    return {"hint": node.execute(made["head"], t.head_model, side, side, "auto").result[0]}


def _apply(t: Tools, made: dict[str, Any], side: int) -> dict[str, Any]:
    node = t.part("nodes.capface.apply").ApplyCapFace
    positive, negative = t.world.text()
    return {"conditioning": node.execute(positive, negative, t.world.capface, made["identity"], made["hint"]).result[:2]}


STAGES: dict[str, Stage] = {"Detect Faces": _detect, "Encode Identity": _identify, "Fit Head (landmarks)": _fit,
                            "Render Head": _draw, "Apply CapFace": _apply}


def portrait(t: Tools, side: int) -> dict[str, Any]:
    """All stages, one after the other; what each made, by name."""
    import torch
    made: dict[str, Any] = {}
    with torch.inference_mode():
        for stage in STAGES.values():
            made.update(stage(t, made, side))
    return made


def stages(setting: Setting) -> Iterator[tuple[str, Values]]:
    """The whole, warm, and each stage's share."""
    import torch
    t, side = tools(setting), SIDE[setting.size]
    made = portrait(t, side)
    whole = seconds(setting.device, lambda: portrait(t, side), ROUNDS if setting.full else 1) * 1000
    with torch.inference_mode():
        for name, stage in STAGES.items():
            took = seconds(setting.device, lambda stage=stage: stage(t, made, side), ROUNDS if setting.full else 1, warm=0) * 1000
            yield name, {MILLISECONDS: took, "share": took / whole}
    yield WHOLE, {MILLISECONDS: whole, "share": 1.0}


def video(setting: Setting) -> Values:
    """Heads from Video over copies of a photo that wander by a pixel a frame."""
    import torch
    t, count = tools(setting), FRAMES[setting.size]
    frames = torch.cat([photo().roll(i, 2) for i in range(count)])
    node = t.part("nodes.video").HeadsFromVideo
    with torch.inference_mode():
        took = seconds(setting.device, lambda: node.execute(t.detector, t.head_model, images=frames), 1, warm=int(setting.full))
    return {"frames": count, "frames a second": count / took}


def editor(setting: Setting) -> Values:
    """What the head editor asks of the server when an expression changes: alone, and while a picture is being sampled."""
    from caphuman_core.head.edit.editor_wire import EditorModel, head_json, vertices_message
    from caphuman_core.head.new import new_head
    t = tools(setting)
    asked = {**head_json(new_head(t.head_model, 256, 256), t.head_model.name), "expressions": {"smile": 1.0}}
    model, rounds = EditorModel(t.head_model), 40 if setting.full else 5

    def ask() -> Any:
        return vertices_message(model, asked)
    idle = sorted(each("cpu", ask, rounds))
    stop, pair = threading.Event(), worlds.with_capface(t.world)

    def sample() -> None:
        while not stop.is_set():
            t.world.sample(pair)
    t.world.sample(pair, steps=1)
    sampling = threading.Thread(target=sample)
    sampling.start()
    try:
        busy = sorted(each("cpu", ask, rounds))
    finally:
        stop.set()
        sampling.join()
    return {"alone, ms": idle[rounds // 2] * 1000, "while sampling, ms": busy[rounds // 2] * 1000,
            "slowest while sampling, ms": busy[-1] * 1000}


ROWS = (
    Row("stages", stages, gigabytes=4, seconds=25),
    Row("Heads from Video", video, gigabytes=2, seconds=8),
    Row("the editor's vertices", editor, gigabytes=6, seconds=10),
)
