"""The few calls most users need; the command line is made of them."""

from tf2.engines.array_engines import overlay_config
from tf2.flow.accuracy_target import AccuracyTarget
from tf2.flow.building import BuildReport, build
from tf2.flow.compressing import compress
from tf2.flow.evaluating import compare, compare_exactly, evaluate
from tf2.flow.exporting import export_onnx, with_feature_inputs
from tf2.flow.importing import Check, ImportReport, inspect_model
from tf2.flow.overlays import (
    LayerCycles,
    OverlayReport,
    compile_model,
    estimate,
    overlay_report,
    profile,
)
from tf2.flow.places import open_labels, open_samples
from tf2.flow.pruned import Pruned
from tf2.flow.pruning import prune
from tf2.flow.retraining import Retraining, retraining
from tf2.flow.running import Prediction, classify, is_classifier, predictions, run_samples
from tf2.flow.searching import SearchReport, search
from tf2.flow.training import inq, train
from tf2.flow.vendor_project import ProjectReport, make_project

__all__ = [
    "AccuracyTarget",
    "BuildReport",
    "Check",
    "ImportReport",
    "LayerCycles",
    "OverlayReport",
    "Prediction",
    "ProjectReport",
    "Pruned",
    "Retraining",
    "SearchReport",
    "build",
    "classify",
    "compare",
    "compare_exactly",
    "compile_model",
    "compress",
    "estimate",
    "evaluate",
    "export_onnx",
    "inq",
    "inspect_model",
    "is_classifier",
    "make_project",
    "open_labels",
    "open_samples",
    "overlay_config",
    "overlay_report",
    "predictions",
    "profile",
    "prune",
    "retraining",
    "run_samples",
    "search",
    "train",
    "with_feature_inputs",
]
