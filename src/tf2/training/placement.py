"""Where tensors are, and in which precision layers are computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def uses_bf16(amp: str, device: torch.device) -> bool:
    """Tell whether layers are computed in bfloat16."""
    if amp != "auto":
        return amp == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def placed(module: nn.Module, device: torch.device) -> None:
    """Move a module; images then go through it with their channels last."""
    module.to(device)
    if any(p.ndim == 4 for p in module.parameters()):
        module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def moved(value: Any, device: torch.device, *, images_last: bool = False) -> Any:
    """Return tensors, however nested, on a device; images with their channels last if asked."""
    if isinstance(value, Mapping):
        return {k: moved(v, device, images_last=images_last) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(v, device, images_last=images_last) for v in value)
    if not isinstance(value, Tensor):
        return value
    if images_last and value.ndim == 4:
        return value.to(device, memory_format=torch.channels_last)
    return value.to(device)
