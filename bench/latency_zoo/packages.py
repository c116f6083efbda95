"""torchvision and timm beside this project's PyTorch, from a folder outside the repository.

    pip install --no-deps --target FOLDER torchvision==0.28.0 timm==1.0.31

torchvision's compiled operators want CUDA libraries; its networks do without them, once the operators are declared.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

_DECLARED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_KEPT: list[torch.library.Library] = []


def use_packages(folder: Path) -> None:
    """Make torchvision and timm importable from `folder`."""
    sys.path.append(str(folder))
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _DECLARED:
        library.define(schema)
    _KEPT.append(library)
