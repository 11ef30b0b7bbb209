"""Images, arrays and labels: what a network is calibrated and evaluated with."""

from tf2.data.images import ImageReader, find_images, open_image
from tf2.data.labels import (
    FolderLabels,
    labels_from_folders,
    match_labels,
    read_array_labels,
    read_class_names,
    read_labels,
)
from tf2.data.preprocessing import Preprocessing
from tf2.data.presets import PRESETS
from tf2.data.resize import Resize
from tf2.data.samples import Batch, InputShapes, ModelInput, Samples, Skipped

__all__ = [
    "PRESETS",
    "Batch",
    "FolderLabels",
    "ImageReader",
    "InputShapes",
    "ModelInput",
    "Preprocessing",
    "Resize",
    "Samples",
    "Skipped",
    "find_images",
    "labels_from_folders",
    "match_labels",
    "open_image",
    "read_array_labels",
    "read_class_names",
    "read_labels",
]
