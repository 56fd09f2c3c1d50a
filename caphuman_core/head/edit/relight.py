"""Relighting heads."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...check import require
from ...flow import Head
from ..light import directional, terms
from ..rotations import matrix_from_axis_angle


@dataclass(frozen=True)
class Others:
    """Strengths of the lights beside the first one, of its colour, as a photographer sets them up around it."""

    fill: float = 0.0                    # from the other side, at eye level: brightens the shadows
    rim: float = 0.0                     # from behind, opposite, above: an edge of light


RIM_ELEVATION_DEGREES = 35.0


def relight(head: Head, azimuth_degrees: float, elevation_degrees: float, intensity: float, ambient: float,
            colour: tuple[float, float, float], others: Others = Others()) -> Head:
    """Every head of the batch under one soft distant light, those set up around it, and ambient light; see `light.directional`."""
    for name, value, low, high in (("azimuth", azimuth_degrees, -360, 360), ("elevation", elevation_degrees, -180, 180),
                                   ("intensity", intensity, 0, 100), ("ambient", ambient, 0, 100),
                                   ("fill", others.fill, 0, 100), ("rim", others.rim, 0, 100)):
        require(low <= value <= high, name, f"must be from {low} to {high}", value, "choose a value in that range")
    light = directional(azimuth_degrees, elevation_degrees, intensity, ambient, colour)
    if others.fill:
        light = light + directional(-azimuth_degrees, 0.0, others.fill, 0.0, colour)
    if others.rim:
        light = light + directional(azimuth_degrees + 180, RIM_ELEVATION_DEGREES, others.rim, 0.0, colour)
    return head.replace(light=light.to(head.light).expand(len(head), 9, 3).clone())


def turn_light(light: Tensor, rotation_radians: Tensor) -> Tensor:
    """Light [B, 9, 3] turned by axis-angle rotations [B, 3]: a surface that turns along keeps its shading."""
    matrix = matrix_from_axis_angle(rotation_radians.double())                               # [B, 3, 3]
    directions = _SAMPLES.to(matrix)
    before = terms(directions @ matrix)                      # the normals seen from the turned light: R^T n
    after = torch.linalg.pinv(terms(directions))
    return (after @ (before @ light.double())).to(light)


def _fibonacci(count: int) -> Tensor:
    """Directions spread evenly over the sphere [count, 3]."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - 2 * index / count
    angle = index * torch.pi * (1 + 5 ** 0.5)
    radius = (1 - z * z).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), z], -1)


_SAMPLES = _fibonacci(64)
