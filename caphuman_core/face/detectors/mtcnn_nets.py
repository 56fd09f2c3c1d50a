"""The three networks of MTCNN (Zhang et al. 2016), with the layer names of facenet-pytorch's weight files."""
from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from ...check import fail
from ...files.weights import load_strict, read_state_dict
from ..options import MTCNN_FILES

WHERE_FROM = "run `pip install --no-deps facenet-pytorch`, or put pnet.pt, rnet.pt and onet.pt into the models folder 'facenet'"


class ProposalNet(nn.Module):
    """Slides over a picture: one candidate per 2 pixels, from 12x12 windows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, 3, H, W], -1..1 -> box shifts [B, 4, h, w], face probability [B, h, w]."""
        x = pooled(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_2(x), self.conv4_1(x).softmax(1)[:, 1]


class RefineNet(nn.Module):
    """Judges 24x24 candidates and moves their boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [K, 3, 24, 24], -1..1 -> box shifts [K, 4], face probability [K]."""
        x = self.pool(self.prelu1(self.conv1(x)))
        x = self.pool(self.prelu2(self.conv2(x)))
        x = self.prelu4(self.dense4(_columns_first(self.prelu3(self.conv3(x)))))
        return self.dense5_2(x), self.dense5_1(x).softmax(1)[:, 1]


class OutputNet(nn.Module):
    """Judges 48x48 candidates, moves their boxes and places five points."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [K, 3, 48, 48], -1..1 -> box shifts [K, 4], face probability [K], points [K, 10]: five x, five y, of the box."""
        x = self.pool(self.prelu1(self.conv1(x)))
        x = self.pool(self.prelu2(self.conv2(x)))
        x = pooled(self.prelu3(self.conv3(x)))
        x = self.prelu5(self.dense5(_columns_first(self.prelu4(self.conv4(x)))))
        return self.dense6_2(x), self.dense6_1(x).softmax(1)[:, 1], self.dense6_3(x)


def pooled(x: Tensor) -> Tensor:
    """2x2 max pool of [..., H, W], a last odd row or column by itself: max_pool2d with ceil_mode, ten times as fast on a CPU."""
    for dim in (-2, -1):
        size = x.shape[dim]
        pairs = torch.maximum(_every_second(x, dim, 0, size // 2), _every_second(x, dim, 1, size // 2))
        x = torch.cat([pairs, x.narrow(dim, size - 1, 1)], dim) if size % 2 else pairs
    return x


def _every_second(x: Tensor, dim: int, first: int, count: int) -> Tensor:
    """`count` rows (dim -2) or columns (dim -1) from `first` on, every other one."""
    taken = slice(first, first + 2 * count, 2)
    return x[..., taken, :] if dim == -2 else x[..., taken]


def _columns_first(x: Tensor) -> Tensor:
    """[K, C, H, W] -> [K, W*H*C]: the original weights come from a column-major framework."""
    return x.permute(0, 3, 2, 1).flatten(1)


def find_files(folders: Iterable[Path]) -> tuple[Path, Path, Path]:
    """The three weight files: side by side in one of `folders` or below, else in an installed facenet-pytorch.

    The package itself is never imported. Raises InputError that says where to get the files.
    """
    places = [place for folder in folders if folder.is_dir() for place in (folder, *sorted(folder.rglob("*"))) if place.is_dir()]
    package = importlib.util.find_spec("facenet_pytorch")
    for root in (package.submodule_search_locations or ()) if package else ():
        places.append(Path(root) / "data")
    for place in places:
        paths = tuple(place / name for name in MTCNN_FILES)
        if all(path.is_file() for path in paths):
            return paths[0], paths[1], paths[2]
    fail("the mtcnn detector", "needs the weight files pnet.pt, rnet.pt and onet.pt", "none of them in any place", WHERE_FROM)


def read_nets(paths: tuple[Path, Path, Path]) -> tuple[ProposalNet, RefineNet, OutputNet]:
    """The networks with their weights, float32. Raises InputError if a file is not what its name says."""
    nets = (ProposalNet(), RefineNet(), OutputNet())
    for net, path in zip(nets, paths, strict=True):
        load_strict(net, read_state_dict(path, "face detector"), f"face detector file '{path.name}'")
        net.eval().requires_grad_(False)
    return nets


def scaled(sums: Tensor, areas: Tensor) -> Tensor:
    """Means of 8-bit colours, as the networks want them: (mean - 127.5) / 128."""
    return (sums.to(torch.float32) / areas - 127.5) * 0.0078125
