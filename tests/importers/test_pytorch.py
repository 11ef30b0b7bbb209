"""PyTorch importer: the exported network equals the module; what is refused says why."""

from __future__ import annotations

import logging
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tf2.errors import ImportModelError, MissingExtraError, UnsupportedOpError
from tf2.flow.importing import check_import
from tf2.importers import load_model, pytorch

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
nn = torch.nn

MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "models"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are absent")

FACTORIES = """
from torch import nn
import neighbour

def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout())

def with_argument(width):
    return nn.Linear(width, 2)

def not_a_module():
    return 3

def fails():
    raise KeyError("no such file")

class Net(nn.Linear):
    def __init__(self):
        super().__init__(neighbour.WIDTH, 2)

number = 3
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "neighbour", raising=False)
    (tmp_path / "neighbour.py").write_text("WIDTH = 5\n")
    path = tmp_path / "factories.py"
    path.write_text(FACTORIES)
    return path


def onnx_outputs(model, feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def dims(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def random_feeds(model, batch):
    rng = np.random.default_rng(batch)
    return {
        value.name: rng.standard_normal((batch, *dims(value)[1:])).astype(np.float32)
        for value in model.graph.input
    }


def assert_equal_networks(model, run, feeds):
    expected, found = run(feeds), onnx_outputs(model, feeds)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        # Both are float32 and differ in the order of sums; ResNet-20 has 20 layers of them.
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


class Double(nn.Module):
    def forward(self, x):
        return 2 * x


class Several(nn.Module):
    def forward(self, left, right):
        return {"relu": torch.relu(left), "rest": [left - 1, (right * 3,)]}


class Unrolled(nn.Module):
    def forward(self, x):
        return torch.stack([value * 2 for value in x])


class DataDependent(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class Unsupported(nn.Module):
    def forward(self, x):
        return torch.linalg.qr(x)[0]


# A class that takes arguments needs a function around it, as a user would write it.
REAL = {
    "resnet20-cifar10-pytorch": (
        "from resnet import resnet20 as make",
        "resnet20-12fca82f.th",  # under "state_dict", every name prefixed by "module."
        (1, 3, 32, 32),
    ),
    "crepe-tiny-1d-pytorch": (
        "from crepe_net import CREPE\ndef make(): return CREPE('tiny')",
        "tiny.pth",
        (1, 1024),
    ),
    "ecg5000-tcn-1d": (
        "from tcn import TCN\ndef make(): return TCN(5)",
        "tcn_best.pth",
        (1, 1, 140),
    ),
}


@needs_models
@pytest.mark.parametrize("name", REAL)
def test_a_real_network_computes_the_same_at_any_batch(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(MODELS / name))
    code, weights, shape = REAL[name]
    (tmp_path / "made.py").write_text(code)
    spec = f"{tmp_path / 'made.py'}:make"
    model = pytorch.read_factory(spec, MODELS / name / weights, [shape])
    onnx.checker.check_model(model, full_check=True)
    assert dims(model.graph.input[0]) == ["N", *shape[1:]]
    assert model.opset_import[0].version <= 21
    run = pytorch.reference_runner(pytorch.load_factory(spec, MODELS / name / weights))
    for batch in (1, 3):
        assert_equal_networks(model, run, random_feeds(model, batch))


@needs_models
def test_a_file_with_its_plain_state_dict_is_a_factory(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = MODELS / "resnet20-cifar10-pytorch"
    module = pytorch.load_factory(
        f"{folder / 'resnet.py'}:resnet20", folder / "resnet20_cifar10_jpegft.pth"
    )
    assert sum(value.numel() for value in module.parameters()) == 269_722
    assert not module.training


@needs_models
def test_a_trained_state_dict_is_read_with_its_own_names():
    weights = pytorch.load_state_dict(MODELS / "squeezenet-v1.1-formats/squeezenet_v1.1.pth")
    assert weights["features.0.weight"].shape == (64, 3, 3, 3)


def test_the_same_module_gives_the_same_bytes_and_no_paths():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    first = pytorch.export_module(module, [(1, 3, 8, 8)]).SerializeToString()
    assert first == pytorch.export_module(module, [(1, 3, 8, 8)]).SerializeToString()
    assert b"site-packages" not in first
    assert Path(__file__).name.encode() not in first


def test_the_module_is_left_as_it_was_and_exported_in_evaluation_mode():
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.Dropout())).train()
    module[1].eval()
    model = pytorch.export_module(module, [(2, 3, 4, 4)])
    assert (module.training, module[0].training, module[1].training) == (True, True, False)
    assert module[0].num_batches_tracked == 0
    assert "Dropout" not in [node.op_type for node in model.graph.node]


def test_nothing_is_printed_logged_or_warned(capfd, caplog):
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        pytorch.export_module(Double(), [(1, 4)])
        with pytest.raises(ImportModelError):
            pytorch.export_module(DataDependent(), [(1, 4)])
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_inputs_and_outputs_are_named_after_the_module():
    module = Several()
    model = pytorch.export_module(module, [(1, 4), (1, 4)])
    assert [value.name for value in model.graph.input] == ["left", "right"]
    names = [value.name for value in model.graph.output]
    assert names == ["output_relu", "output_rest_0", "output_rest_1_0"]
    assert_equal_networks(model, pytorch.reference_runner(module), random_feeds(model, 3))


def test_given_input_names_are_used_by_the_export_and_the_runner():
    model = pytorch.export_module(Double(), [(1, 4)], input_names=["image"])
    assert [value.name for value in model.graph.input] == ["image"]
    run = pytorch.reference_runner(Double(), input_names=["image"])
    assert_equal_networks(model, run, random_feeds(model, 2))


@pytest.mark.parametrize(
    ("module", "shapes", "reason"),
    [(Unrolled(), [(2, 4)], "Constraints"), (Several(), [(2, 4), (1, 4)], "first axis")],
)
def test_a_batch_that_cannot_be_free_stays_with_a_warning(module, shapes, reason, caplog):
    model = pytorch.export_module(module, shapes)
    assert [dims(value) for value in model.graph.input] == [list(shape) for shape in shapes]
    assert "batch stays at 2" in caplog.text
    assert reason in caplog.text


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([], "at least one input"),
        ([(1, 0)], "positive sizes"),
        ([(1, 4), (1, 4)], r"forward\(x\) cannot be called with 2 input"),
    ],
)
def test_input_shapes_that_make_no_sense_are_refused(shapes, message):
    with pytest.raises(ImportModelError, match=message):
        pytorch.export_module(Double(), shapes)


def test_a_shape_the_module_does_not_run_on_is_refused():
    with pytest.raises(ImportModelError, match=r"fails on inputs of shape \[\(1, 5, 8, 8\)\]"):
        pytorch.export_module(nn.Conv2d(3, 4, 3), [(1, 5, 8, 8)])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16])
def test_a_module_of_another_precision_is_fed_in_it_and_read_in_float32(dtype):
    torch.manual_seed(0)
    imported = load_model(nn.Sequential(nn.Linear(4, 3)).to(dtype), input_shapes=[(1, 4)])
    assert imported.precision == str(dtype).removeprefix("torch.")
    assert {str(value.dtype) for value in imported.graph.types.values()} == {"float32"}
    assert check_import(imported, seed=0).runtime.startswith("PyTorch")


def test_control_flow_on_computed_values_is_refused():
    with pytest.raises(ImportModelError, match=r"DataDependent cannot be captured"):
        pytorch.export_module(DataDependent(), [(1, 4)])


def test_an_operator_without_onnx_form_is_named():
    with pytest.raises(UnsupportedOpError, match=r"aten\.linalg_qr node 'Unsupported'"):
        pytorch.export_module(Unsupported(), [(4, 4)])


def test_outputs_that_are_not_tensors_are_refused():
    class Text(nn.Module):
        def forward(self, x):
            return x, "label"

    with pytest.raises(ImportModelError, match="returns a str"):
        pytorch.export_module(Text(), [(1, 4)])


def test_a_class_counts_as_a_factory_and_its_file_can_import_its_neighbours(factories):
    path = list(sys.path)
    model = pytorch.read_factory(f"{factories}:Net", None, [(1, 5)])
    assert dims(model.graph.output[0]) == ["N", 2]
    assert sys.path == path


def test_an_importable_package_counts_as_a_factory():
    assert isinstance(pytorch.load_factory("torch.nn:Identity"), nn.Identity)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("absent", r"has no 'absent'. It defines small, with_argument"),
        ("with_argument", r"called without arguments: missing a required argument: 'width'"),
        ("not_a_module", "returned a int"),
        ("number", "is a int, not a function"),
        ("fails", "KeyError: 'no such file'"),
    ],
)
def test_a_factory_that_makes_no_module_is_refused(factories, function, message):
    with pytest.raises(ImportModelError, match=message):
        pytorch.load_factory(f"{factories}:{function}")


@pytest.mark.parametrize("spec", ["resnet20", "absent.py:make", "no_such_package:make", ":make"])
def test_a_factory_that_cannot_be_found_is_refused(spec):
    with pytest.raises(ImportModelError, match=r"names no model|cannot be imported"):
        pytorch.load_factory(spec)


@pytest.mark.parametrize("container", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_weights_are_found_where_training_scripts_leave_them(tmp_path, container, prefix):
    weights = {f"{prefix}weight": torch.ones(2, 3), f"{prefix}bias": torch.zeros(2)}
    saved = weights if container is None else {"epoch": 3, container: weights}
    torch.save(saved, tmp_path / "w.pth")
    found = pytorch.load_state_dict(tmp_path / "w.pth")
    assert found.keys() == {"weight", "bias"}
    torch.testing.assert_close(found["weight"], torch.ones(2, 3))


def test_safetensors_weights_are_read(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2, 3)}, tmp_path / "w.safetensors")
    assert pytorch.load_state_dict(tmp_path / "w.safetensors").keys() == {"weight"}


def test_mismatching_weights_are_listed_by_kind(tmp_path):
    weights = {"0.weight": torch.zeros(4, 3, 5, 5), "0.bias": torch.zeros(4)}
    weights |= {f"9.w{i}": torch.zeros(1) for i in range(7)}
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(ImportModelError) as caught:
        pytorch.load_weights_into(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2)), tmp_path / "w.pth"
        )
    message = str(caught.value)
    assert "2 missing (1.weight, 1.bias)" in message
    assert "7 unexpected (9.w0, 9.w1, 9.w2, 9.w3, 9.w4, ...)" in message
    assert "1 of another shape (0.weight is (4, 3, 5, 5), needs (4, 3, 3, 3))" in message


class Trap:
    """Unpickling it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_weight_file_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    torch.save({"state_dict": Trap(tmp_path / "ran")}, tmp_path / "w.pth")
    with pytest.raises(ImportModelError, match=r"holds Python objects .* never does"):
        pytorch.load_state_dict(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(ImportModelError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        pytorch.load_state_dict(tmp_path / "w.pth")


def save_garbage(path):
    path.write_bytes(b"not a model at all")


def save_script(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), str(path))


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda path: None, "no such weight file"),
        (save_garbage, "not a PyTorch weight file"),
        (save_script, "TorchScript archive"),
        (lambda path: torch.save({"net": {}, "epoch": 1}, path), r"its entries are \(net, epoch\)"),
        (lambda path: torch.save(torch.zeros(3), path), "holds a Tensor, not a dict"),
    ],
)
def test_files_that_hold_no_weights_are_refused(tmp_path, save, message):
    save(tmp_path / "w.pt")
    with pytest.raises(ImportModelError, match=message):
        pytorch.load_state_dict(tmp_path / "w.pt")


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    save_garbage(tmp_path / "w.safetensors")
    with pytest.raises(ImportModelError, match="not a safetensors file"):
        pytorch.load_state_dict(tmp_path / "w.safetensors")


def save_program(path, *, training=False, free_axis=0):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train(training)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = ({free_axis: torch.export.Dim("free", min=4)},)
        program = torch.export.export(module, (torch.ones(4, 3, 8, 8),), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return module


def test_a_saved_program_computes_the_same_at_any_batch(tmp_path):
    module = save_program(tmp_path / "p.pt2")
    model = pytorch.read_exported_program(tmp_path / "p.pt2")
    assert dims(model.graph.input[0]) == ["N", 3, 8, 8]
    feeds = random_feeds(model, 5)
    assert_equal_networks(model, pytorch.reference_runner(module), feeds)
    loaded = pytorch.load_exported_program(tmp_path / "p.pt2").module()
    assert_equal_networks(model, pytorch.reference_runner(loaded), feeds)


def test_a_program_captured_in_training_mode_is_refused(tmp_path):
    save_program(tmp_path / "p.pt2", training=True)
    with pytest.raises(ImportModelError, match=r"training mode.*module\.eval\(\)"):
        pytorch.read_exported_program(tmp_path / "p.pt2")


def test_a_program_with_a_free_axis_that_is_no_batch_is_refused(tmp_path):
    save_program(tmp_path / "p.pt2", free_axis=2)
    with pytest.raises(ImportModelError, match=r"axis 2 of input 'input' has no fixed size"):
        pytorch.read_exported_program(tmp_path / "p.pt2")


@pytest.mark.parametrize("member", ["data/constants/custom_obj_0", "data/aotinductor/m/a.so"])
def test_a_program_with_objects_or_compiled_code_is_refused_unread(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "p.pt2", "w") as archive:
        archive.writestr(f"p/{member}", b"")
    with pytest.raises(ImportModelError, match="compiled code or Python objects"):
        pytorch.load_exported_program(tmp_path / "p.pt2")


def test_pickled_objects_inside_a_program_are_not_run(tmp_path):
    save_program(tmp_path / "p.pt2")
    torch.save((Trap(tmp_path / "ran"),), tmp_path / "inputs.pt")
    with (
        zipfile.ZipFile(tmp_path / "p.pt2") as good,
        zipfile.ZipFile(tmp_path / "bad.pt2", "w") as bad,
    ):
        for name in good.namelist():
            replace = "sample_inputs" in name and name.endswith(".pt")
            content = (tmp_path / "inputs.pt").read_bytes() if replace else good.read(name)
            bad.writestr(name.replace("p/", "bad/", 1), content)
    with pytest.raises(ImportModelError, match="cannot be read by torch"):
        pytorch.load_exported_program(tmp_path / "bad.pt2")
    assert not (tmp_path / "ran").exists()


def test_without_torch_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tf2\[torch\]'"):
        pytorch.read_factory("torch.nn:Identity", None, [(1, 4)])
