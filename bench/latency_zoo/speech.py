"""Whisper's encoder and one step of its decoder with caches, and YamNet."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from latency_zoo.parts import Attention, conv_bn
from latency_zoo.registry import Built, add, image

_SIZES = {"tiny": (384, 4, 6), "base": (512, 6, 8), "small": (768, 12, 12)}
_FRAMES, _CONTEXT, _VOCABULARY = 3000, 200, 51865


class _EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention, self.norm, self.norm_ffn = Attention(width, heads), nn.LayerNorm(width), nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm(x))
        return x + self.ffn(self.norm_ffn(x))


class _Encoder(nn.Module):
    """Also gives the decoder's cross-attention its keys and values, as the published encoders do."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(80, width, (1, 3), padding=(0, 1))
        self.second = nn.Conv2d(width, width, (1, 3), stride=(1, 2), padding=(0, 1))
        self.positions = nn.Parameter(torch.rand(_FRAMES // 2, width))
        self.layers = nn.ModuleList(_EncoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.cross = nn.ModuleList(nn.Linear(width, width) for _ in range(2 * layers))

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, ...]:
        act = nn.functional.gelu
        x = act(self.second(act(self.first(mel.unsqueeze(2))))).squeeze(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return tuple(projection(x) for projection in self.cross)


class _DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.cross_q, self.cross_o = nn.Linear(width, width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.ffn = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(1, 1, self.heads, -1).transpose(1, 2)

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return ((q @ k * self.scale).softmax(-1) @ v).transpose(1, 2).reshape(1, 1, -1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, *caches: torch.Tensor) -> tuple[torch.Tensor, ...]:
        k_cache, v_cache, k_cross, v_cross = caches
        y = self.norms[0](x)
        k = torch.cat([k_cache, self._split(self.k(y)).transpose(2, 3)], 3)[..., 1:]
        v = torch.cat([v_cache, self._split(self.v(y))], 2)[:, :, 1:]
        scores = self._split(self.q(y)) @ k * self.scale + mask
        x = x + self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(1, 1, -1))
        x = x + self.cross_o(self._attend(self._split(self.cross_q(self.norms[1](x))), k_cross, v_cross))
        return x + self.ffn(self.norms[2](x)), k, v


class _Decoder(nn.Module):
    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(_VOCABULARY, width), nn.Linear(width, _VOCABULARY, bias=False)
        self.layers, self.norm = nn.ModuleList(_DecoderLayer(width, heads) for _ in range(layers)), nn.LayerNorm(width)

    def forward(self, token: torch.Tensor, mask: torch.Tensor, *caches: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, made = self.embed(token), []
        for index, layer in enumerate(self.layers):
            x, k, v = layer(x, mask, *caches[4 * index : 4 * index + 4])
            made += [k, v]
        return (self.head(self.norm(x)), *made)


def _encoder(size: str) -> Built:
    return _Encoder(*_SIZES[size]), (torch.rand(1, 80, _FRAMES),)


def _decoder(size: str) -> Built:
    width, layers, heads = _SIZES[size]
    each, cross = width // heads, _FRAMES // 2
    shapes = [(heads, each, _CONTEXT), (heads, _CONTEXT, each), (heads, each, cross), (heads, cross, each)] * layers
    caches = [torch.rand(1, *shape) for shape in shapes]
    return _Decoder(width, layers, heads), (torch.ones(1, 1, dtype=torch.int32), torch.rand(1, 1, 1, _CONTEXT), *caches)


for _size in _SIZES:
    _quantized = f"whisper_{_size}_quantized/"
    add(f"whisper_{_size}/encoder", "speech", partial(_encoder, _size), f"{_quantized}encoder")
    add(f"whisper_{_size}/decoder", "text generation", partial(_decoder, _size), f"{_quantized}decoder")


def _yamnet() -> Built:
    widths = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    layers, channels = [conv_bn(1, 32, 3, 2)], 32
    for width, stride in widths:
        layers += [conv_bn(channels, channels, 3, stride, groups=channels), conv_bn(channels, width, 1)]
        channels = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 521), nn.Sigmoid()]
    return nn.Sequential(*layers, *head), (image(96, 64, 1),)


add("yamnet/YamNet", "mobile", _yamnet)
