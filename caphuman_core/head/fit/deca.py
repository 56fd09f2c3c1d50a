"""DECA's encoder E_flame and its crop: from a photo to FLAME codes (FACE.md: crop, encoder)."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...check import fail, require
from ...files.telltale import DECA_KEY, DECA_PREFIX
from ...files.weights import load_strict, strip_prefix
from ...flow import Faces, Head
from ..camera import CROP_SIZE
from ..model.head_model import HeadModel

CODES = {"identity": 100, "texture": 50, "expression": 50, "pose": 6, "camera": 3, "light": 27}   # in this order: 236
BOX_SCALE, CROP_SCALE = 1.1, 1.25


class DecaEncoder(nn.Module):
    """ResNet-50 and two linear layers: [B, 3, 224, 224], 0..1, red first -> codes [B, 236]."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet50
        self.encoder = resnet50(weights=None)
        self.encoder.add_module("fc", nn.Identity())
        self.layers = nn.Sequential(nn.Linear(2048, 1024), nn.ReLU(), nn.Linear(1024, sum(CODES.values())))

    def forward(self, crops: Tensor) -> Tensor:
        return self.layers(self.encoder(crops))


def build_encoder(state: Mapping[str, Tensor], name: str) -> DecaEncoder:
    """The encoder from deca_model.tar's tensors (only E_flame.* is read) or from E_flame's alone; strict."""
    inner = strip_prefix(state, DECA_PREFIX) or dict(state)
    if DECA_KEY not in inner:
        fail(name, "must be DECA's encoder", f"keys like {', '.join(sorted(inner)[:3]) or 'none'}",
             "use deca_model.tar from the DECA project")
    network = DecaEncoder()
    load_strict(network, inner, name)
    return network.eval().requires_grad_(False)


def is_encoder_key(key: str) -> bool:
    """Keys worth reading from deca_model.tar; its detail networks and training state are never used."""
    return key.startswith((DECA_PREFIX, "encoder.", "layers."))


@dataclass(frozen=True)
class Crop:
    """A square region of a photo, as DECA sees it."""

    image: Tensor            # [3, 224, 224] 0..1
    to_crop: Tensor          # [3, 3] float64, column vectors: photo pixels (centres at whole numbers) -> crop pixels


@dataclass(frozen=True)
class Crops:
    """What the encoder needs of a batch of photos, and where it came from."""

    images: Tensor           # [B, 3, 224, 224] 0..1, red first
    placings: Tensor         # [B, 3, 3] crop_to_picture
    width: int               # of the picture the placings refer to
    height: int
    present: Tensor          # [B] bool


def released_square(photo: Tensor, size: int = 512) -> Tensor:
    """The released code's squash: photo [3, H, W] 0..1 -> [3, size, size], aspect ratio lost.

    scikit-image's `resize` (bilinear; Gaussian antialiasing when shrinking; mirrored borders), then truncated to
    8 bits, which lowers some values by 1/255 even when the size does not change.
    """
    exact = (photo.double() * 255).round() * (1 / 255)               # 8 bits as scikit-image makes them float64
    for axis in (1, 2):
        factor = photo.shape[axis] / size
        if factor > 1:
            exact = _blur(exact, axis, (factor - 1) / 2)
    return ((_bilinear(exact, size).clamp(0, 1) * 255).floor() / 255).float()


def _bilinear(picture: Tensor, size: int) -> Tensor:
    """Each value is a sum of four products in scipy's order: truncation shows the last bit of it."""
    (rows, row_weights), (columns, column_weights) = (_taps(length, size) for length in picture.shape[1:])
    total = torch.zeros(picture.shape[0], size, size, dtype=torch.float64)
    for row, row_weight in zip(rows, row_weights, strict=True):
        for column, column_weight in zip(columns, column_weights, strict=True):
            total += picture[:, row][:, :, column] * row_weight[:, None] * column_weight
    return total


def _taps(length: int, size: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The two samples and their weights for each of `size` places along an axis of `length`."""
    at = (torch.arange(size, dtype=torch.float64) + 0.5) * (length / size) - 0.5
    low = at.floor()
    part = at - low
    return (_mirror(low.long(), length), _mirror(low.long() + 1, length)), (1 - part, part)


def _blur(picture: Tensor, axis: int, sigma: float) -> Tensor:
    """Gaussian along one axis, cut off at 4 sigma, mirrored borders."""
    reach = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    kernel /= kernel.sum()
    length = picture.shape[axis]
    total = picture * kernel[reach]
    for offset in range(1, reach + 1):
        sides = [picture.index_select(axis, _mirror(torch.arange(length) + way, length)) for way in (-offset, offset)]
        total = total + (sides[0] + sides[1]) * kernel[reach + offset]
    return total


def _mirror(index: Tensor, length: int) -> Tensor:
    """Reflect indices about the first and last sample (d c b | a b c d | c b a)."""
    if length == 1:
        return torch.zeros_like(index)
    period = 2 * (length - 1)
    index = index.abs() % period
    return torch.where(index >= length, period - index, index)


def crop_around(photo: Tensor, low: Tensor, high: Tensor) -> Crop:
    """DECA's 224 crop around a box: photo [3, H, W]; low, high: corners (x, y) of the box of 68 points."""
    low, high = low.double(), high.double()
    size = int(float((high - low).mean()) * BOX_SCALE * CROP_SCALE)
    require(size >= 1, "face", "must be larger than a pixel", f"a crop of {size} pixels", "use a larger photo")
    centre = high - (high - low) / 2
    scale = (CROP_SIZE - 1) / size
    corner = centre - size / 2
    to_crop = torch.tensor([[scale, 0.0, -scale * float(corner[0])], [0.0, scale, -scale * float(corner[1])], [0.0, 0.0, 1.0]],
                           dtype=torch.float64)
    return Crop(_warp(photo, corner, 1 / scale), to_crop)


def _warp(photo: Tensor, corner: Tensor, step: float) -> Tensor:
    """Bilinear samples at corner + step * (0..223), zeros outside the photo."""
    height, width = photo.shape[1:]
    at = torch.arange(CROP_SIZE, dtype=torch.float64) * step
    x, y = at + corner[0], at + corner[1]
    grid = torch.stack(torch.meshgrid(2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1, indexing="xy"), -1)
    if min(width, height) == 1:
        photo = photo.expand(-1, max(height, 2), max(width, 2))
    return F.grid_sample(photo[None].double(), grid[None], align_corners=True)[0].float()


def placing_of(crop: Crop) -> Tensor:
    """crop_to_picture [3, 3] float32 of a crop: the inverse, transposed for row vectors."""
    return torch.linalg.inv(crop.to_crop).T.float()


def box_of(points68: Tensor | None, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Corners of the box DECA crops around: of 68 points, else the whole picture as the released code has it
    (left 0, right height - 1, top 0, bottom width - 1: the wrong way round, which matters only if not square)."""
    if points68 is not None:
        return points68.amin(0), points68.amax(0)
    return torch.zeros(2), torch.tensor([height - 1.0, width - 1.0])


def head_of_codes(codes: Tensor, crops: Crops, model: HeadModel) -> Head:
    """Codes [B, 236] of the crops as heads of a FLAME model; refuses other head models."""
    require(model.identity_basis.shape[0] == CODES["identity"] and model.expression_basis.shape[0] == CODES["expression"]
            and not model.expression_names, "head model", "must be FLAME, which DECA's codes refer to", f"'{model.name}'",
            "load FLAME's generic_model.pkl, or use CapHuman Fit Head (landmarks) with this head model")
    parts = dict(zip(CODES, codes.split(list(CODES.values()), 1), strict=True))
    texture = parts["texture"][:, :model.texture_basis.shape[0]]
    return Head(model_fingerprint=model.fingerprint, identity=parts["identity"], expression=parts["expression"], texture=texture,
                rotation_radians=parts["pose"][:, :3], jaw_radians=parts["pose"][:, 3:], light=parts["light"].reshape(-1, 9, 3),
                camera=parts["camera"], crop_to_picture=crops.placings, width=crops.width, height=crops.height,
                present=crops.present)


def crop_faces(photos: Tensor, faces: Faces, points68: list[Tensor | None], squash: int = 0) -> Crops:
    """DECA's crop of the one face of each photo [B, 3, H, W], 0..1; a photo without a face gets a black crop.

    points68: 68 predicted points for faces that were detected with fewer. squash: 0 keeps the photo's shape; a size
    squashes it to that square first, as the released code does (it uses the size of the picture it makes).
    """
    crops: list[Tensor] = []
    placings: list[Tensor] = []
    for photo, found, points in zip(photos, faces.per_image, points68, strict=True):
        if not found:
            crops.append(torch.zeros(3, CROP_SIZE, CROP_SIZE))
            placings.append(torch.eye(3))
            continue
        ratio = torch.tensor([squash / faces.width, squash / faces.height]) if squash else torch.ones(2)
        known = found[0].points68 if found[0].points68 is not None else points
        picture = released_square(photo, squash) if squash else photo
        low, high = box_of(None if known is None else known.cpu() * ratio, picture.shape[2], picture.shape[1])
        crop = crop_around(picture, low, high)
        crops.append(crop.image)
        placings.append(placing_of(crop))
    present = torch.tensor([bool(found) for found in faces.per_image])
    size = (squash, squash) if squash else (faces.width, faces.height)
    return Crops(torch.stack(crops), torch.stack(placings), *size, present)
