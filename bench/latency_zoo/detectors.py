"""One-stage detectors: YOLOv5, YOLOv8 and YOLOv11 with their decoded outputs, and YOLOX."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from latency_zoo.parts import Attention, conv_bn
from latency_zoo.registry import Built, add, image

_CLASSES, _BINS = 80, 16
conv = partial(conv_bn, act=nn.SiLU)


class Bottleneck(nn.Module):
    """Two convolutions with a skip."""

    def __init__(self, width: int, hidden: int, kernels: tuple[int, int] = (3, 3), *, skip: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(width, hidden, kernels[0]), conv(hidden, width, kernels[1]))
        self.skip = skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.skip else self.body(x)


class C3(nn.Module):
    """YOLOv5's block: two branches, one of them through bottlenecks."""

    def __init__(
        self, inputs: int, outputs: int, count: int, kernels: tuple[int, int] = (1, 3), *, skip: bool = True
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.one, self.two, self.out = conv(inputs, half, 1), conv(inputs, half, 1), conv(2 * half, outputs, 1)
        self.body = nn.Sequential(*(Bottleneck(half, half, kernels, skip=skip) for _ in range(count)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.cat([self.body(self.one(x)), self.two(x)], 1))


class C2f(nn.Module):
    """YOLOv8's block, and YOLOv11's (`share`, `nested`): every bottleneck's output is joined."""

    def __init__(
        self, inputs: int, outputs: int, count: int, *, skip: bool = True, share: float = 0.5,
        narrow: bool = False, nested: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        width = int(outputs * share)
        self.first, self.out = conv(inputs, 2 * width, 1), conv((2 + count) * width, outputs, 1)
        inner = [C3(width, width, 2, (3, 3), skip=skip) if nested
                 else Bottleneck(width, width // 2 if narrow else width, skip=skip) for _ in range(count)]  # fmt: skip
        self.body = nn.ModuleList(inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = list(self.first(x).chunk(2, 1))
        for block in self.body:
            parts.append(block(parts[-1]))
        return self.out(torch.cat(parts, 1))


class Pyramid(nn.Module):
    """Spatial pyramid pooling, fast."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.out = conv(inputs, inputs // 2, 1), conv(2 * inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(nn.functional.max_pool2d(parts[-1], 5, 1, 2))
        return self.out(torch.cat(parts, 1))


class Psa(nn.Module):
    """YOLOv11's attention over the coarsest map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.first, self.out = conv(width, width, 1), conv(width, width, 1)
        self.attention = Attention(half, max(1, half // 64))
        self.ffn = nn.Sequential(conv(half, 2 * half, 1), conv_bn(2 * half, half, 1, act=None))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.first(x).chunk(2, 1)
        _, channels, height, width = b.shape
        b = b + self.attention(b.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(1, channels, height, width)
        return self.out(torch.cat([a, b + self.ffn(b)], 1))


class Detect(nn.Module):
    """Boxes (distribution over 16 bins, decoded) and class scores of three maps; masks and angles where asked for."""

    def __init__(self, widths: list[int], side: int, *, light: bool = False, extra: int = 0) -> None:
        super().__init__()
        box, score = max(16, widths[0] // 4, 4 * _BINS), max(widths[0], min(_CLASSES, 100))
        self.boxes = nn.ModuleList(_head(width, box, 4 * _BINS) for width in widths)
        make = _light_head if light else _head
        self.scores = nn.ModuleList(make(width, score, _CLASSES) for width in widths)
        self.extra = nn.ModuleList(_head(width, max(widths[0] // 4, extra), extra) for width in widths if extra)
        self.bins = nn.Parameter(torch.arange(float(_BINS)).reshape(1, _BINS, 1, 1))
        self.anchors = nn.Parameter(torch.rand(1, 2, sum((side // step) ** 2 for step in (8, 16, 32))))

    def forward(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        boxes = torch.cat([head(x).flatten(2) for head, x in zip(self.boxes, maps, strict=True)], 2)
        spread = boxes.reshape(1, 4, _BINS, -1).transpose(1, 2).softmax(1)
        low, high = nn.functional.conv2d(spread, self.bins).reshape(1, 4, -1).chunk(2, 1)
        corners = torch.cat([self.anchors - low, self.anchors + high], 1) * 8
        scores = torch.cat([head(x).flatten(2) for head, x in zip(self.scores, maps, strict=True)], 2).sigmoid()
        best, kinds = scores.max(1)
        extra = [torch.cat([head(x).flatten(2) for head, x in zip(self.extra, maps, strict=True)], 2)] if len(
            self.extra) else []  # fmt: skip
        return (corners, best, kinds, *extra)


def _head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv(inputs, width, 3), conv(width, width, 3), nn.Conv2d(width, outputs, 1))


def _light_head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    pairs = ((inputs, width), (width, width))
    layers = [part for a, b in pairs for part in (conv(a, a, 3, groups=a), conv(a, b, 1))]
    return nn.Sequential(*layers, nn.Conv2d(width, outputs, 1))


class Yolo(nn.Module):
    """Backbone, path aggregation and head of YOLOv8 (11: `version`); `masks` adds the prototypes of segmentation."""

    def __init__(
        self, depth: float, width: float, most: int, side: int, *, version: int = 8, masks: bool = False, extra: int = 0
    ) -> None:
        super().__init__()
        w = [int(math.ceil(min(c, most) * width / 8) * 8) for c in (64, 128, 256, 512, 1024)]
        n = [max(1, round(count * depth)) for count in (3, 6)] if version == 8 else [max(1, round(2 * depth))] * 2  # noqa: PLR2004
        eleven = version != 8  # noqa: PLR2004
        plain = partial(C2f, narrow=True) if eleven else C2f
        deep = partial(C2f, nested=True) if eleven else C2f
        early = partial(C2f, narrow=True, share=0.25) if eleven else C2f
        out = (w[2], w[3]) if eleven else (w[1], w[2])
        self.stem = nn.Sequential(conv(3, w[0], 3, 2), conv(w[0], w[1], 3, 2), early(w[1], out[0], n[0]))
        self.p3 = nn.Sequential(conv(out[0], w[2], 3, 2), early(w[2], out[1], n[1]))
        self.p4 = nn.Sequential(conv(out[1], w[3], 3, 2), deep(w[3], w[3], n[1]))
        tail = [Psa(w[4])] if eleven else []
        self.p5 = nn.Sequential(conv(w[3], w[4], 3, 2), deep(w[4], w[4], n[0]), Pyramid(w[4], w[4]), *tail)
        self.up4, self.up3 = plain(w[4] + w[3], w[3], n[0], skip=eleven), plain(w[3] + out[1], w[2], n[0], skip=eleven)
        self.low4, self.low5 = conv(w[2], w[2], 3, 2), conv(w[3], w[3], 3, 2)
        self.down4, self.down5 = plain(w[2] + w[3], w[3], n[0], skip=eleven), deep(w[3] + w[4], w[4], n[0], skip=eleven)
        self.head = Detect(w[2:], side, light=eleven, extra=extra or 32 * masks)
        proto = w[2]
        self.proto = nn.Sequential(
            conv(w[2], proto, 3), nn.ConvTranspose2d(proto, proto, 2, 2), conv(proto, proto, 3), conv(proto, 32, 1)
        ) if masks else None  # fmt: skip

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        grow = partial(nn.functional.interpolate, scale_factor=2, mode="nearest")
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        n4 = self.up4(torch.cat([grow(p5), p4], 1))
        n3 = self.up3(torch.cat([grow(n4), p3], 1))
        m4 = self.down4(torch.cat([self.low4(n3), n4], 1))
        m5 = self.down5(torch.cat([self.low5(m4), p5], 1))
        found = self.head([n3, m4, m5])
        return (*found, self.proto(n3)) if self.proto is not None else found


class Yolo5(nn.Module):
    """YOLOv5 with three anchors a cell."""

    def __init__(self, depth: float, width: float) -> None:
        super().__init__()
        w = [int(math.ceil(c * width / 8) * 8) for c in (64, 128, 256, 512, 1024)]
        n = [max(1, round(count * depth)) for count in (3, 6, 9)]
        self.p3 = nn.Sequential(
            nn.Conv2d(3, w[0], 6, 2, 2), nn.SiLU(), conv(w[0], w[1], 3, 2), C3(w[1], w[1], n[0]),
            conv(w[1], w[2], 3, 2), C3(w[2], w[2], n[1]),
        )  # fmt: skip
        self.p4 = nn.Sequential(conv(w[2], w[3], 3, 2), C3(w[3], w[3], n[2]))
        self.p5 = nn.Sequential(conv(w[3], w[4], 3, 2), C3(w[4], w[4], n[0]), Pyramid(w[4], w[4]))
        self.side5, self.side4 = conv(w[4], w[3], 1), conv(w[3], w[2], 1)
        self.up4, self.up3 = C3(2 * w[3], w[3], n[0], skip=False), C3(2 * w[2], w[2], n[0], skip=False)
        self.low4, self.low5 = conv(w[2], w[2], 3, 2), conv(w[3], w[3], 3, 2)
        self.down4, self.down5 = C3(2 * w[2], w[3], n[0], skip=False), C3(2 * w[3], w[4], n[0], skip=False)
        self.heads = nn.ModuleList(nn.Conv2d(c, 3 * (_CLASSES + 5), 1) for c in w[2:])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        grow = partial(nn.functional.interpolate, scale_factor=2, mode="nearest")
        p3 = self.p3(x)
        p4 = self.p4(p3)
        s5 = self.side5(self.p5(p4))
        s4 = self.side4(self.up4(torch.cat([grow(s5), p4], 1)))
        n3 = self.up3(torch.cat([grow(s4), p3], 1))
        m4 = self.down4(torch.cat([self.low4(n3), s4], 1))
        m5 = self.down5(torch.cat([self.low5(m4), s5], 1))
        found = [head(y).reshape(1, 3, _CLASSES + 5, -1).transpose(2, 3).flatten(1, 2).sigmoid()
                 for head, y in zip(self.heads, (n3, m4, m5), strict=True)]  # fmt: skip
        every = torch.cat(found, 1)
        best, kinds = (every[..., 5:] * every[..., 4:5]).max(-1)
        return every[..., :4], best, kinds


def _yolo8(depth: float, width: float, most: int = 1024, side: int = 640, **more: bool) -> Built:
    return Yolo(depth, width, most, side, **more), (image(side),)


_EIGHT = {
    "yolov8_det/YOLOv8-Detection": partial(_yolo8, 0.33, 0.25),
    "yolov8_seg/YOLOv8-Segmentation": partial(_yolo8, 0.33, 0.25, masks=True),
    "yolov8_obb/YOLOv8-OBB": partial(_yolo8, 0.33, 0.25, extra=1),
    "fastsam_s/FastSam-S": partial(_yolo8, 0.33, 0.5, masks=True),
    "fastsam_x/FastSam-X": partial(_yolo8, 1.0, 1.25, 512, masks=True),
    "yolov11_det/YOLOv11-Detection": partial(_yolo8, 0.5, 0.25, version=11),
    "yolov11_seg/YOLOv11-Segmentation": partial(_yolo8, 0.5, 0.25, version=11, masks=True),
    "yolov5/Yolo-v5": lambda: (Yolo5(0.67, 0.75), (image(640),)),
}
_ALSO = {"yolov8_det/YOLOv8-Detection": ("lpdm/License-Plates-Detector-Model",)}
for _name, _build in _EIGHT.items():
    add(_name, "one-stage detector", _build, *_ALSO.get(_name, ()))
