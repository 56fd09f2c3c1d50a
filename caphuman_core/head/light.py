"""Light: nine real spherical-harmonic coefficients per colour (FACE.md: rendered)."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ..check import fail

# Order 1, x, y, z, xy, xz, yz, x^2-y^2, 3z^2-1; normalisation constants of the paper's code.
CONSTANTS = (0.28209479, 1.02332671, 1.02332671, 1.02332671, 0.85808553, 0.85808553, 0.85808553, 0.42904277, 0.24770796)


def terms(normals: Tensor) -> Tensor:
    """Spherical-harmonic terms of [..., 3] world normals (not renormalised) -> [..., 9]."""
    x, y, z = normals.unbind(-1)
    values = torch.stack([torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], -1)
    return values * values.new_tensor(CONSTANTS)


def shade(normals: Tensor, light: Tensor) -> Tensor:
    """Shading of normals [P, 3] under light [9, 3] -> [P, 3], unclamped."""
    return terms(normals) @ light


def shade_each(normals: Tensor, light: Tensor, counts: list[int]) -> Tensor:
    """Shading of the normals [P, 3] of several heads, so many points of each in turn, under their lights [B, 9, 3] -> [P, 3]."""
    return torch.cat([rows @ one for rows, one in zip(terms(normals).split(counts), light, strict=True)])


def directional(azimuth_degrees: float, elevation_degrees: float, intensity: float = 0.6, ambient: float = 0.7,
                colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Tensor:
    """Ambient light plus one soft distant light -> [9, 3].

    azimuth: 0 from the viewer, positive from the picture's right; elevation: positive from above. The
    distant light is the clamped cosine lobe to second order (Ramamoorthi and Hanrahan 2001): a surface that
    faces it has shading ambient + intensity, one that faces away about ambient.
    """
    azimuth, elevation = math.radians(azimuth_degrees), math.radians(elevation_degrees)
    direction = torch.tensor([math.sin(azimuth) * math.cos(elevation), math.sin(elevation),
                              math.cos(azimuth) * math.cos(elevation)], dtype=torch.float64)
    constants = torch.tensor(CONSTANTS, dtype=torch.float64)
    # max(0, cos) = 1/4 + cos/2 + 5/32 (3 cos^2 - 1) + ..., expanded in the (unnormalised) terms of `direction`
    basis = terms(direction) / constants
    lobe = torch.cat([torch.tensor([0.25]).double(), 0.5 * basis[1:4],
                      5 / 32 * torch.cat([6 * basis[4:7], 1.5 * basis[7:8], 0.5 * basis[8:9]])])
    grey = intensity * lobe / constants
    grey[0] += ambient / CONSTANTS[0]
    return (grey[:, None] * torch.tensor(colour, dtype=torch.float64)).float()


def default_light() -> Tensor:
    """A soft front light from slightly above: the light of new heads and of landmark fits, [9, 3]."""
    return directional(0.0, 25.0)


def rgb01_of(colour: str) -> tuple[float, float, float]:
    """#rrggbb as red, green, blue of 0..1."""
    text = colour.strip().removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        fail("colour", "must be #rrggbb", repr(colour), "type six hexadecimal digits, like #ffd8b0")
    return red / 255, green / 255, blue / 255
