"""Which Caffe layer type is converted by which function, with the parameters it understands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tf2.importers.caffe.context import Blob, LayerContext

ConvertFunction = Callable[[LayerContext], list[Blob]]


@dataclass(frozen=True, kw_only=True)
class Converter:
    """How layers of one type are converted.

    Attributes:
        convert: Adds the nodes and returns one blob a top.
        block: The layer's parameter block, None where it takes none.
        accepts: Fields of the block that the function reads.
        ignores: Fields of the block that cannot change the result at inference.
        bottoms: Lowest and highest number of bottoms.
        tops: Lowest and highest number of tops.
        has_weights: Whether the layer may have arrays in the caffemodel.
    """

    convert: ConvertFunction
    block: str | None
    accepts: frozenset[str]
    ignores: frozenset[str]
    bottoms: tuple[int, int]
    tops: tuple[int, int]
    has_weights: bool


MANY = 1 << 16
CONVERTERS: dict[str, Converter] = {}


def converts(
    *layer_types: str,
    block: str | None = None,
    accepts: str = "",
    ignores: str = "",
    bottoms: tuple[int, int] = (1, 1),
    tops: tuple[int, int] = (1, 1),
    has_weights: bool = False,
) -> Callable[[ConvertFunction], ConvertFunction]:
    """Register a function for layer types; a type registered twice is an error in this package.

    ``accepts`` and ``ignores`` are field names separated by spaces.
    """

    def register(convert: ConvertFunction) -> ConvertFunction:
        for layer_type in layer_types:
            assert layer_type not in CONVERTERS, f"layer type {layer_type} registered twice"
            CONVERTERS[layer_type] = Converter(
                convert=convert,
                block=block,
                accepts=frozenset(accepts.split()),
                ignores=frozenset(ignores.split()),
                bottoms=bottoms,
                tops=tops,
                has_weights=has_weights,
            )
        return convert

    return register
