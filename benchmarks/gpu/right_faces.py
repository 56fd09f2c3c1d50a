"""Faces and heads on the device: against the reference, and against the processor with its own numbers."""
from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from . import host
from .right_diffusion import exactly, worst
from .rows import LeftOut, Row, Setting, Values


@cache
def photos(size: str) -> Any:
    """Photos [B, 3, 512, 512] of people, narrow: one."""
    import torch

    from tools.stand_ins.people import golden_photo
    names = ("astronaut", "two_faces", "camera_rgb") if size == "full" else ("astronaut",)
    return torch.cat([torch.nn.functional.interpolate(golden_photo(name)[None], (512, 512), mode="bilinear", antialias=True)
                      for name in names])


def networks(setting: Setting) -> Iterator[tuple[str, Values]]:
    """FaceNet, DECA and BiSeNet against the reference."""
    import torch

    from tools.goldens import faces as goldens
    from tools.stand_ins import face_nets
    exactly(torch)
    facenet, deca, bisenet = (net.to(setting.device) for net in (face_nets.facenet(), face_nets.deca(), face_nets.bisenet()))
    yield "FaceNet", worst(goldens.facenet(facenet, setting.device))
    yield "DECA", worst(goldens.deca(deca, setting.device))
    for case in ("sq256", "odd"):
        yield f"BiSeNet, {case}", {**worst(goldens.bisenet(bisenet, case)), "wrong classes": goldens.wrong_classes(bisenet, case)}


def clip(setting: Setting) -> Values:
    """CLIP's tower under the host's model management."""
    if not setting.full:
        raise LeftOut("the reference's numbers belong to the full tower")
    part = host.start(setting)
    import torch

    from tools.goldens import faces as goldens
    from tools.stand_ins import face_nets
    exactly(torch)
    with torch.no_grad():
        tokens = part("nodes.identity").clip_tokens(face_nets.clip_tower(), goldens.clip_pixels())
    return worst([goldens.clip(tokens)])


def geometry(setting: Setting) -> Values:
    """The head model's forward pass."""
    import torch

    from tools.goldens import heads as goldens
    exactly(torch)
    return worst(goldens.forward(goldens.model(), setting.device))


def pictures(setting: Setting) -> Iterator[tuple[str, Values]]:
    """Golden heads, drawn: pixels that show another face (edges), and the others' values."""
    import torch

    from tools.goldens import heads as goldens
    exactly(torch)
    for name in goldens.RENDERS if setting.full else goldens.RENDERS[-1:]:
        drawn = goldens.picture(name, goldens.model(), setting.device)
        yield f"drawn, {name}", {"other faces": drawn.edges, "allowed": drawn.most_edges, "share within": drawn.within,
                                 "worst": drawn.worst, "allowed worst": drawn.most, "within": drawn.holds}


def beside_processor(setting: Setting) -> Iterator[tuple[str, Values]]:
    """What the device makes of photos beside what the processor makes of them."""
    import torch

    from caphuman_core.face.detectors.mtcnn import Mtcnn
    from tools.stand_ins import face_nets
    exactly(torch)
    shown, there = photos(setting.size), torch.device(setting.device)
    here = Mtcnn().find(shown)
    other = Mtcnn().to(there).find(shown)
    yield "MTCNN", {"faces": sum(map(len, here)), "faces there": sum(map(len, other)), "points apart, pixels": _apart(here, other)}
    crops = torch.nn.functional.interpolate(shown, (160, 160)) * 2 - 1
    yield "FaceNet beside the processor", _between(face_nets.facenet(), crops, there)
    yield "DECA beside the processor", _between(face_nets.deca(), torch.nn.functional.interpolate(shown, (224, 224)), there)
    from caphuman_core.face import parsing
    classes = [parsing.parse(face_nets.bisenet().to(where), shown) for where in (torch.device("cpu"), there)]
    yield "BiSeNet beside the processor", {"pixels": classes[0].numel(), "other classes": int((classes[0] != classes[1]).sum())}


def _apart(here: Any, there: Any) -> float | None:
    pairs = [(a.points5, b.points5) for one, other in zip(here, there, strict=True) for a, b in zip(one, other, strict=False)]
    return max((float((a - b).abs().max()) for a, b in pairs), default=None)


def _between(network: Any, inputs: Any, device: Any) -> Values:
    import torch

    from tools.goldens.compare import distance
    with torch.no_grad():
        want = network.to("cpu")(inputs)
        found = distance("", network.to(device)(inputs.to(device)), want, (1.0, 1.0))
    return {"max abs": found.max_abs, "rel rms": found.rel_rms}


def heads(setting: Setting) -> Iterator[tuple[str, Values]]:
    """A head fitted to landmarks, and its picture, where the host's device would draw it and on the processor."""
    import torch

    from caphuman_core.face.detection import detect
    from caphuman_core.face.detectors.mtcnn import Mtcnn
    from caphuman_core.head.fit.from_photo import fit_photos
    from caphuman_core.head.model.head_model import load_builtin
    from caphuman_core.render.maps import render
    model, photo = load_builtin(), photos(setting.size)[:1]
    found = [fit_photos(photo, detect(Mtcnn().to(device), photo, max_faces=1), model) for device in ("cpu", setting.device)]
    apart = max(float((getattr(found[0], name) - getattr(found[1], name)).abs().max())
                for name in ("rotation_radians", "identity", "camera", "light"))
    yield "fit by landmarks", {"largest difference of a code": apart}
    side = 512 if setting.full else 64
    drawn = [render(found[0], model, side, side, device=torch.device(device)) for device in ("cpu", setting.device)]
    both = ((drawn[0].mask > 0) & (drawn[1].mask.cpu() > 0))[:, None].expand(-1, 9, -1, -1)
    maps = [picture.hint().maps.cpu()[both] for picture in drawn]
    yield f"hint {side}x{side}", {"pixels": int(both.sum()) // 9, "edges": int((drawn[0].mask != drawn[1].mask.cpu()).sum()),
                                  "max abs": float((maps[0] - maps[1]).abs().max()),
                                  "share within 1e-4": float(((maps[0] - maps[1]).abs() <= 1e-4).float().mean())}


def back_end(setting: Setting) -> Values:
    """pytorch3d's picture of a golden head on the device."""
    import importlib.util
    if importlib.util.find_spec("pytorch3d") is None:
        raise LeftOut("pytorch3d is not installed")
    from caphuman_core.render.pytorch3d_raster import rasterize_pytorch3d
    from tools.goldens import heads as goldens
    drawn = goldens.picture("crop224" if not setting.full else "frontal512", goldens.model(), setting.device, rasterize_pytorch3d)
    return {"other faces": drawn.edges, "allowed": drawn.most_edges, "share within": drawn.within, "worst": drawn.worst,
            "depth, worst": drawn.depth}


ROWS = (
    Row("networks against the reference", networks, gigabytes=2, seconds=8),
    Row("CLIP", clip, gigabytes=3, seconds=8),
    Row("geometry", geometry, gigabytes=1, seconds=3),
    Row("pictures", pictures, gigabytes=1, seconds=4),
    Row("beside the processor", beside_processor, gigabytes=2, seconds=10),
    Row("fits and hints beside the processor", heads, gigabytes=1, seconds=4),
    Row("pytorch3d", back_end, gigabytes=1, seconds=5),
)
