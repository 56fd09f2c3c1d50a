"""Light: nine real spherical-harmonic coefficients per colour (FACE.md: rendered)."""
from __future__ import annotations

import math

import torch
from torch import Tensor

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


def directional(azimuth_degrees: float, elevation_degrees: float, intensity: float = 0.6, ambient: float = 0.7,
                colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Tensor:
    """Ambient light plus one soft distant light -> [9, 3].

    azimuth: 0 from the viewer, positive from the picture's right; elevation: positive from above. The
    distant light is the clamped cosine lobe to second order (Ramamoorthi and Hanrahan 2001): a surface that
    faces it has shading ambient + intensity, one that faces away about ambient.
    """
    azimuth, elevation = math.radians(azimuth_degrees), math.radians(elevation_degrees)
    direction = torch.tensor([[math.sin(azimuth) * math.cos(elevation), math.sin(elevation),
                               math.cos(azimuth) * math.cos(elevation)]], dtype=torch.float64)
    constants = torch.tensor(CONSTANTS, dtype=torch.float64)
    # max(0, cos) = 1/4 + cos/2 + 5/32 (3 cos^2 - 1) + ..., expanded in the (unnormalised) terms of `direction`
    basis = terms(direction)[0] / constants
    lobe = torch.cat([torch.tensor([0.25]).double(), 0.5 * basis[1:4],
                      5 / 32 * torch.cat([6 * basis[4:7], 1.5 * basis[7:8], 0.5 * basis[8:9]])])
    grey = intensity * lobe / constants
    grey[0] += ambient / CONSTANTS[0]
    return (grey[:, None] * torch.tensor(colour, dtype=torch.float64)).float()


def default_light() -> Tensor:
    """A soft front light from slightly above: the light of new heads and of landmark fits, [9, 3]."""
    return directional(0.0, 25.0)
