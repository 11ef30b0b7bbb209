import subprocess
import sys

import tf2.data


def test_every_public_name_exists_and_is_listed():
    modules = {"arrays", "augmentation", "images", "labels", "preprocessing", "presets"}
    modules |= {"resampling", "resize", "samples", "sources"}
    public = {name for name in vars(tf2.data) if not name.startswith("_")} - modules
    assert public == set(tf2.data.__all__)


def test_importing_it_loads_no_image_library():
    code = "import sys, tf2.data; print({'PIL', 'onnx', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
