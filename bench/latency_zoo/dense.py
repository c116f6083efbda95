"""Networks that answer for every pixel: super-resolution, denoising, segmentation, key points."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from latency_zoo.parts import conv_bn
from latency_zoo.registry import Built, add, image, network


def _plain(inputs: int, width: int, layers: int, outputs: int, act: type[nn.Module] = nn.ReLU) -> list[nn.Module]:
    """3x3 convolutions with an activation after each but the last."""
    made: list[nn.Module] = [nn.Conv2d(inputs, width, 3, padding=1), act()]
    for _ in range(layers):
        made += [nn.Conv2d(width, width, 3, padding=1), act()]
    return [*made, nn.Conv2d(width, outputs, 3, padding=1)]


def _quick(width: int, layers: int) -> Built:
    """QuickSRNet: plain convolutions, the picture enlarged four times at the end."""
    return nn.Sequential(*_plain(3, width, layers, 48), nn.PixelShuffle(4)), (image(128),)


class _Collapsed(nn.Module):
    """SESR, collapsed: plain convolutions with two long skips."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 5, padding=2)
        self.body = nn.Sequential(
            *[part for _ in range(layers) for part in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU())]
        )
        self.last, self.shuffle = nn.Conv2d(width, 48, 5, padding=2), nn.PixelShuffle(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x)
        return self.shuffle(self.last(self.body(first) + first) + x.repeat(1, 16, 1, 1))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(width, width, 3, act=nn.PReLU), conv_bn(width, width, 3, act=None))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class _Srgan(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 64, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*[_Residual(64) for _ in range(16)], conv_bn(64, 64, 3, act=None))
        self.up = nn.Sequential(
            *[part for _ in range(2)
              for part in (nn.Conv2d(64, 256, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())],
            nn.Conv2d(64, 3, 9, padding=4),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x)
        return self.up(self.body(first) + first)


class _DenseBlock(nn.Module):
    def __init__(self, width: int = 64, growth: int = 32) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width + index * growth, growth if index < 4 else width, 3, padding=1)  # noqa: PLR2004
            for index in range(5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [x]
        for conv in self.convs[:-1]:
            seen.append(nn.functional.leaky_relu(conv(torch.cat(seen, 1)), 0.2))
        return x + 0.2 * self.convs[-1](torch.cat(seen, 1))


class _Rrdb(nn.Module):
    """ESRGAN's generator: 23 blocks of three dense blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 3, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(*[_DenseBlock() for _ in range(3)]) for _ in range(23))
        self.after, self.up1, self.up2, self.high = (nn.Conv2d(64, 64, 3, padding=1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = first = self.first(x)
        for block in self.blocks:
            x = x + 0.2 * block(x)
        x, act = first + self.after(x), partial(nn.functional.leaky_relu, negative_slope=0.2)
        for up in (self.up1, self.up2):
            x = act(up(nn.functional.interpolate(x, scale_factor=2, mode="nearest")))
        return self.last(act(self.high(x)))


class _Compact(nn.Module):
    """Real-ESRGAN's compact generator: 32 convolutions, and the enlarged picture added."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*_plain(3, 64, 32, 48, nn.PReLU), nn.PixelShuffle(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + nn.functional.interpolate(x, scale_factor=4, mode="nearest")


class _Denoise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        body = [conv_bn(64, 64, 3) for _ in range(15)]
        self.body = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), *body, nn.Conv2d(64, 1, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - self.body(x)


add("quicksrnetsmall/QuickSRNetSmall", "dense", partial(_quick, 32, 2))
add("quicksrnetmedium/QuickSRNetMedium", "dense", partial(_quick, 32, 5))
add("quicksrnetlarge/QuickSRNetLarge", "dense", partial(_quick, 64, 11))
add("sesr_m5/SESR-M5", "dense", lambda: (_Collapsed(16, 5), (image(128),)))
add("srgan/SRGAN", "dense", lambda: (_Srgan(), (image(128),)))
add("esrgan/ESRGAN", "dense", lambda: (_Rrdb(), (image(128),)), "real_esrgan_x4plus/Real-ESRGAN-x4plus")
add("real_esrgan_general_x4v3/Real-ESRGAN-General-x4v3", "dense", lambda: (_Compact(), (image(128),)))
add("dncnn/DnCNN", "dense", lambda: (_Denoise(), (image(256, 256, 1),)))


class _Unet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (64, 128, 256, 512, 1024)
        pairs = zip((3, *widths), widths, strict=False)
        self.down = nn.ModuleList(nn.Sequential(conv_bn(a, b, 3), conv_bn(b, b, 3)) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * a, a, 2, 2) for a in widths[-2::-1])
        self.merge = nn.ModuleList(nn.Sequential(conv_bn(2 * a, a, 3), conv_bn(a, a, 3)) for a in widths[-2::-1])
        self.out = nn.Conv2d(64, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for index, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if index else x)
            kept.append(x)
        for up, merge, skip in zip(self.up, self.merge, kept[-2::-1], strict=True):
            x = merge(torch.cat([skip, up(x)], 1))
        return self.out(x)


add("unet_segmentation/Unet-Segmentation", "dense", lambda: (_Unet(), (image(640, 1280),)))


@network("posenet_mobilenet/Posenet-Mobilenet", "mobile")
def _posenet() -> Built:
    widths = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 1), (1024, 1)]
    layers, channels = [conv_bn(3, 32, 3, 2, act=nn.ReLU6)], 32
    for width, stride in widths:
        layers += [
            conv_bn(channels, channels, 3, stride, groups=channels, act=nn.ReLU6),
            conv_bn(channels, width, 1, act=nn.ReLU6),
        ]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, 17 + 34 + 64, 1)), (image(513, 257),)


@network("fcn_resnet50/FCN-ResNet50", "dense")
def _fcn() -> Built:
    import torchvision

    from latency_zoo.registry import Calling

    model = torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=21)
    return Calling(model, lambda inner, pixels: inner(pixels)["out"].argmax(1)), (image(520),)
