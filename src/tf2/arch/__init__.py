"""The shape of an overlay: how many lanes, how much memory, how wide a DDR."""

from tf2.arch.named import NAMED, named_config
from tf2.arch.overlay_config import LaneKind, OverlayConfig

__all__ = ["NAMED", "LaneKind", "OverlayConfig", "named_config"]
