import pytest

from tf2.ir import Feature, Graph, Node, TensorType
from tf2.ir.integer_ops import window


def pool_window(size: int, out: int, **attrs):
    """Return the window of a pooling over one spatial axis."""
    feature = Feature(0, 0)
    node = Node(name="pool", op="MaxPool", inputs=("x",), outputs=("y",), attrs=attrs)
    graph = Graph(
        name="pool",
        inputs=("x",),
        outputs=("y",),
        nodes=(node,),
        types={"x": TensorType(feature, (1, 1, size)), "y": TensorType(feature, (1, 1, out))},
        constants={},
    )
    return window(graph, node)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads", "out", "end"),
    [
        (8, 3, 1, (0, 0), 6, 0),
        (8, 3, 1, (1, 1), 8, 1),
        (7, 3, 2, (1, 1), 4, 1),
        (8, 3, 2, (0, 0), 3, -1),  # floor: position 7 is read by no window
        (8, 3, 2, (0, 0), 4, 1),  # ceil: the last window reaches one beyond
        (8, 3, 2, (1, 1), 4, 0),  # floor: less end padding than declared is needed
        (8, 3, 2, (1, 1), 5, 2),  # ceil: more of it
        (9, 2, 4, (0, 0), 2, -3),
    ],
)
def test_end_pads_are_those_that_the_last_window_needs(size, kernel, stride, pads, out, end):
    found = pool_window(size, out, kernel_shape=(kernel,), strides=(stride,), pads=pads)
    assert (found.pads_begin, found.pads_end) == ((pads[0],), (end,))
    assert found.output_size((size,)) == (out,)


def test_dilations_widen_the_window():
    found = pool_window(9, 5, kernel_shape=(3,), dilations=(2,))
    assert found.dilations == (2,)
    assert found.pads_end == (0,)


def test_attributes_default_to_no_stride_padding_or_dilation():
    found = pool_window(5, 4, kernel_shape=(2,))
    assert (found.strides, found.pads_begin, found.dilations) == ((1,), (0,), (1,))
