"""BiSeNet (Yu et al. 2018) for face parsing, with the names of the published weights (79999_iter.pth)."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..check import fail
from ..files.telltale import FACE_PARSER_KEY
from ..files.weights import load_strict

CLASSES = 19


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()


class BasicBlock(nn.Module):
    """ResNet-18's residual block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = (nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
                           if stride != 1 or inputs != outputs else None)

    def forward(self, x: Tensor) -> Tensor:
        straight = x if self.downsample is None else self.downsample(x)
        return (straight + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()


class Resnet18(nn.Module):
    """Features at 1/8, 1/16 and 1/32 of the picture's size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.layer1(self.maxpool(self.bn1(self.conv1(x)).relu()))
        eighth = self.layer2(x)
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class Attention(nn.Module):
    """Channels weighed by what the whole picture shows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvNorm(inputs, outputs)
        self.conv_atten, self.bn_atten = nn.Conv2d(outputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(x.mean((2, 3), keepdim=True))).sigmoid()


class ContextPath(nn.Module):
    """What the surroundings say, brought to 1/8 of the picture's size."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = Resnet18()
        self.arm16, self.arm32 = Attention(256, 128), Attention(512, 128)
        self.conv_head32, self.conv_head16 = ConvNorm(128, 128), ConvNorm(128, 128)
        self.conv_avg = ConvNorm(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        eighth, sixteenth, coarse = self.resnet(x)
        coarse = self.arm32(coarse) + self.conv_avg(coarse.mean((2, 3), keepdim=True))
        coarse = self.conv_head32(functional.interpolate(coarse, sixteenth.shape[2:], mode="nearest"))
        fine = self.arm16(sixteenth) + coarse
        return eighth, self.conv_head16(functional.interpolate(fine, eighth.shape[2:], mode="nearest"))


class Fusion(nn.Module):
    """Detail and context, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.convblk = ConvNorm(256, 256, 1)
        self.conv1, self.conv2 = nn.Conv2d(256, 64, 1, bias=False), nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([detail, context], 1))
        return x + x * self.conv2(self.conv1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Output(nn.Module):
    """Features -> class scores."""

    def __init__(self, inputs: int, middle: int) -> None:
        super().__init__()
        self.conv = ConvNorm(inputs, middle)
        self.conv_out = nn.Conv2d(middle, CLASSES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Pictures -> class scores."""

    def __init__(self) -> None:
        super().__init__()
        self.cp, self.ffm = ContextPath(), Fusion()
        self.conv_out = Output(256, 256)
        self.conv_out16, self.conv_out32 = Output(128, 64), Output(128, 64)     # used in training only

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] with ImageNet's mean and deviation -> scores [B, 19, H/8, W/8]."""
        return self.conv_out(self.ffm(*self.cp(x)))


def build_bisenet(state: Mapping[str, Tensor], name: str) -> BiSeNet:
    """The network with the weights of a file, float32. Raises InputError if they are another network's."""
    if FACE_PARSER_KEY not in state:
        fail(name, "must hold the face parsing BiSeNet", f"weights such as {', '.join(sorted(state)[:3]) or '(nothing)'}",
             "choose 79999_iter.pth of face-parsing.PyTorch or a conversion of it")
    net = BiSeNet()
    load_strict(net, state, name)
    return net.eval().requires_grad_(False)
