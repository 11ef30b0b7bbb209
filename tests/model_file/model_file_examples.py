"""Graphs and models made from a seed, for the tests of the model file."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tf2.ir import FLOAT32, Attr, Feature, Graph, Node, Plain, TensorType, to_text, verify
from tf2.ir.dtypes import PLAIN
from tf2.model_file import CompressedModel, LayerReport, Manifest, Source, Support, TensorInfo
from tf2.numerics import pot4


def random_array(rng: np.random.Generator, element: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of any element type of the IR, special values included."""
    if element == "string":
        words = np.array(["", "a", "Ünï", "two words", '"quoted"\n'], dtype=object)
        return np.asarray(rng.choice(words, shape), dtype=object).reshape(shape)
    if element == "bfloat16":
        return np.asarray(rng.normal(size=shape)).astype(ml_dtypes.bfloat16)
    if element.startswith("float"):
        data = np.asarray(rng.normal(size=shape)).astype(element)
        if data.size:
            data.reshape(-1)[0] = rng.choice([np.inf, -np.inf, np.nan, -0.0, 1.5])
        return data
    if element == "bool":
        return np.asarray(rng.integers(0, 2, shape)).astype(bool)
    info = np.iinfo(element)
    return np.asarray(rng.integers(info.min, info.max, shape, dtype=element, endpoint=True))


def random_attr(rng: np.random.Generator) -> Attr:
    """Return an attribute of any kind."""
    length = int(rng.integers(0, 4))
    elements = rng.choice(PLAIN)
    return (
        int(rng.integers(-(2**62), 2**62)),
        float(rng.choice([0.0, 1.0, -1e300, 0.1, np.inf, -np.inf, float(np.float32(0.1))])),
        str(rng.choice(["", "NOTSET", "größer", "1", "Infinity"])),
        tuple(int(v) for v in rng.integers(-5, 5, length)),
        tuple(float(v) for v in rng.choice([1.0, 2.5, np.inf], length)),
        tuple(str(v) for v in rng.choice(["NCHW", ""], length)),
        random_array(rng, str(elements), tuple(int(n) for n in rng.integers(0, 4, length))),
    )[int(rng.integers(0, 7))]


class GraphBuilder:
    """Collects nodes, types and constants."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, name: str, data: np.ndarray) -> str:
        element = "string" if data.dtype.kind in "OU" else data.dtype.name
        self.types[name] = TensorType(Plain(element), data.shape)
        self.constants[name] = data
        return name

    def node(self, op: str, inputs: list[str], out: TensorType, domain: str, **attrs: Attr) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.types[f"{name}.y"] = out
        outputs = (f"{name}.y",)
        self.nodes.append(
            Node(
                name=name, op=op, inputs=tuple(inputs), outputs=outputs, attrs=attrs, domain=domain
            )
        )
        return outputs[0]

    def conv(self, x: str, out_channels: int, kind: str) -> str:
        """Append a tf2.Conv with 1x1 or 3x3 windows and the size of its input."""
        rng, (_, channels, *size) = self.rng, self.types[x].shape
        kernel = int(rng.choice([1, 3]))
        shape = (out_channels, channels, *[kernel] * len(size))
        weight = (
            rng.choice(pot4.VALUES, shape) if kind == "pot4" else rng.integers(-128, 128, shape)
        )
        number = len(self.nodes)
        bias_limit = int(rng.choice([100, 30_000, 200_000]))
        arrays = {
            "w": weight.astype(np.int8),
            "b": rng.integers(-bias_limit, bias_limit, out_channels).astype(np.int32),
            "m": rng.integers(0, 256, out_channels).astype(np.int32),
            "s": rng.integers(0, 17, out_channels).astype(np.int32),
        }
        if rng.random() < 0.3:
            arrays |= {"nm": arrays["m"] // 2, "ns": arrays["s"].copy()}
        names = [self.constant(f"conv{number}/{key}", data) for key, data in arrays.items()]
        out = TensorType(Feature(int(rng.integers(-3, 8)), -128), (1, out_channels, *size))
        pads = (kernel // 2,) * (2 * len(size))
        return self.node("Conv", [x, *names], out, "tf2", weight_kind=kind, pads=pads, group=1)


def random_graph(seed: int) -> Graph:
    """Return a verified graph: quantized input, array layers, and host nodes of any attributes."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder(rng)
    size = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(0, 4))))
    image = TensorType(FLOAT32, (1, 3, *size))
    builder.types["data"] = image
    factors = [builder.constant(n, np.ones(1, np.float32)) for n in ("gain", "offset")]
    features = TensorType(
        Feature(int(rng.integers(-3, 8)), int(rng.choice([0, -128]))), image.shape
    )
    x = builder.node("Quantize", ["data", *factors], features, "tf2")
    for _ in range(int(rng.integers(1, 4))):
        x = builder.conv(x, int(rng.integers(1, 9)), str(rng.choice(["pot4", "int8"])))
    x = builder.node("Dequantize", [x], TensorType(FLOAT32, builder.types[x].shape), "tf2")
    for number in range(int(rng.integers(1, 6))):
        shape = tuple(int(n) for n in rng.integers(0, 4, int(rng.integers(0, 4))))
        data = random_array(rng, str(rng.choice(PLAIN)), shape)
        inputs = [x, "", builder.constant(f"host{number}.c", data)]
        attrs = {f"a{k}": random_attr(rng) for k in range(int(rng.integers(0, 4)))}
        x = builder.node("Custom", inputs, TensorType(FLOAT32, image.shape), "", **attrs)
    return verify(
        Graph(
            name=f"random {seed}",
            inputs=("data",),
            outputs=(x,),
            nodes=tuple(builder.nodes),
            types=builder.types,
            constants=builder.constants,
            batch_is_free=bool(rng.random() < 0.5),
        )
    )


def model_of(graph: Graph, **fields: object) -> CompressedModel:
    """Return a model of a graph, with a short manifest."""
    infos = {
        key: tuple(
            TensorInfo(name=n, dtype=str(graph.types[n].dtype), shape=graph.shape(n)) for n in names
        )
        for key, names in (("inputs", graph.inputs), ("outputs", graph.outputs))
    }
    row = Support(node="relu", op="Relu", place="fused", reason="clips", layer="conv")
    layer = LayerReport(
        name="conv", weights="pot4", shape=(1, 3), weight_sqnr_db=float("inf"), zeros=0.5,
        exact=True, saturated=0.0,
    )  # fmt: skip
    defaults = {
        "source": Source(name=graph.name, format="onnx", model="net.onnx"),
        "support": (row,),
        "layers": (layer,),
        "figures": {"top1": 0.5},
        "float_weight_bytes": 4 * sum(c.size for c in graph.constants.values()),
    }
    manifest = Manifest.model_validate(infos | defaults | fields)
    return CompressedModel(graph=graph, manifest=manifest)


def assert_same_graph(found: Graph, expected: Graph) -> None:
    """Fail unless the two graphs are equal to the last bit, order of nodes included."""
    assert to_text(found) == to_text(expected)
    assert (found.name, found.inputs, found.outputs) == (
        expected.name,
        expected.inputs,
        expected.outputs,
    )
    assert found.batch_is_free is expected.batch_is_free
    assert dict(found.types) == dict(expected.types)
    assert set(found.constants) == set(expected.constants)
    for name, data in expected.constants.items():
        assert_same_value(found.constants[name], data)
    for a, b in zip(found.nodes, expected.nodes, strict=True):
        assert (a.name, a.op, a.domain, a.inputs, a.outputs) == (
            b.name,
            b.op,
            b.domain,
            b.inputs,
            b.outputs,
        )
        assert set(a.attrs) == set(b.attrs)
        for key, value in b.attrs.items():
            assert_same_value(a.attrs[key], value)


def assert_same_value(found: Attr, expected: Attr) -> None:
    """Fail unless type and value are equal; NaN equals NaN, 1 is not 1.0, 0.0 is not -0.0."""
    assert type(found) is type(expected)
    if not isinstance(found, np.ndarray):
        assert repr(found) == repr(expected)
        return
    assert isinstance(expected, np.ndarray)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if found.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        assert found.tobytes() == expected.tobytes()
