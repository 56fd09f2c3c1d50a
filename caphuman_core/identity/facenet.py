"""FaceNet's InceptionResnetV1 (Szegedy et al. 2016; David Sandberg's variant), with the names of the published weights."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..check import fail
from ..files.weights import load_strict

SIDE = 160                               # pixels of an input picture
EMBEDDING = 512
EPS = 0.001
CLASSIFIER_KEYS = ("logits.weight", "logits.bias")     # of the training identities; plays no part in the embedding


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int] = 1, stride: int = 1,
                 padding: int | tuple[int, int] = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()


class Residual(nn.Module):
    """Branches side by side, joined by a 1x1 convolution and added with a small factor."""

    def __init__(self, width: int, branches: list[nn.Module], joined: int, factor: float, relu: bool = True) -> None:
        super().__init__()
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)
        self.count, self.factor, self.relu = len(branches), factor, relu
        self.conv2d = nn.Conv2d(joined, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        side_by_side = torch.cat([getattr(self, f"branch{number}")(x) for number in range(self.count)], 1)
        x = x + self.conv2d(side_by_side) * self.factor
        return x.relu() if self.relu else x


class Reduction(nn.Module):
    """Branches of stride 2 and a max pool, stacked."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.count = len(branches)
        for number, branch in enumerate((*branches, nn.MaxPool2d(3, 2))):
            self.add_module(f"branch{number}", branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([getattr(self, f"branch{number}")(x) for number in range(self.count + 1)], 1)


def _block35() -> Residual:
    return Residual(256, [
        ConvNorm(256, 32),
        nn.Sequential(ConvNorm(256, 32), ConvNorm(32, 32, 3, padding=1)),
        nn.Sequential(ConvNorm(256, 32), ConvNorm(32, 32, 3, padding=1), ConvNorm(32, 32, 3, padding=1))], 96, 0.17)


def _block17() -> Residual:
    return Residual(896, [
        ConvNorm(896, 128),
        nn.Sequential(ConvNorm(896, 128), ConvNorm(128, 128, (1, 7), padding=(0, 3)),
                      ConvNorm(128, 128, (7, 1), padding=(3, 0)))], 256, 0.10)


def _block8(factor: float = 0.20, relu: bool = True) -> Residual:
    return Residual(1792, [
        ConvNorm(1792, 192),
        nn.Sequential(ConvNorm(1792, 192), ConvNorm(192, 192, (1, 3), padding=(0, 1)),
                      ConvNorm(192, 192, (3, 1), padding=(1, 0)))], 384, factor, relu)


class FaceNet(nn.Module):
    """Face crops -> who they are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = ConvNorm(3, 32, 3, stride=2)
        self.conv2d_2a = ConvNorm(32, 32, 3)
        self.conv2d_2b = ConvNorm(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = ConvNorm(64, 80)
        self.conv2d_4a = ConvNorm(80, 192, 3)
        self.conv2d_4b = ConvNorm(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = Reduction(
            ConvNorm(256, 384, 3, stride=2),
            nn.Sequential(ConvNorm(256, 192), ConvNorm(192, 192, 3, padding=1), ConvNorm(192, 256, 3, stride=2)))
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = Reduction(
            nn.Sequential(ConvNorm(896, 256), ConvNorm(256, 384, 3, stride=2)),
            nn.Sequential(ConvNorm(896, 256), ConvNorm(256, 256, 3, stride=2)),
            nn.Sequential(ConvNorm(896, 256), ConvNorm(256, 256, 3, padding=1), ConvNorm(256, 256, 3, stride=2)))
        self.repeat_3 = nn.Sequential(*(_block8() for _ in range(5)))
        self.block8 = _block8(factor=1.0, relu=False)
        self.last_linear = nn.Linear(1792, EMBEDDING, bias=False)
        self.last_bn = nn.BatchNorm1d(EMBEDDING, eps=EPS)

    def before_norm(self, x: Tensor) -> Tensor:
        """[N, 3, 160, 160] standardised -> [N, 512]."""
        x = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))))
        x = self.repeat_1(self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(x))))
        x = self.repeat_3(self.mixed_7a(self.repeat_2(self.mixed_6a(x))))
        return self.last_bn(self.last_linear(self.block8(x).mean((2, 3))))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, 160, 160], (colour - 127.5) / 128, red first -> [N, 512] of unit length."""
        return nn.functional.normalize(self.before_norm(x), dim=1)


def build_facenet(state: Mapping[str, Tensor], name: str) -> FaceNet:
    """FaceNet with the weights of a file, float32. name: the file, for messages.
    Raises InputError if the weights are another network's (one of MTCNN's, say) or do not fit exactly."""
    if "last_linear.weight" not in state or "conv2d_1a.conv.weight" not in state:
        fail(name, "must hold FaceNet's InceptionResnetV1", f"weights such as {', '.join(sorted(state)[:3]) or '(nothing)'}",
             "choose 20180402-114759-vggface2.pt or a conversion of it")
    net = FaceNet()
    load_strict(net, state, name, drop=CLASSIFIER_KEYS)
    return net.eval().requires_grad_(False)
