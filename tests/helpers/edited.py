"""A backbone in a plugin file that a user edits between two runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from bench.types import Backbone

PLUGIN = """
import tiny
from bench.types import Backbone
from helper import SCALE

def build(input_shape, include_top=False, weights=None):
    import keras
    base = tiny.build(input_shape)
    return keras.Model(base.inputs, keras.layers.Activation("tanh", name="end")(base.outputs[0]))

def preprocess(x):
    return x / SCALE - 1.0

BACKBONE = Backbone("edited", build, preprocess, tiny.SIZE, ("one_add", "end"))
"""
EDITS = {
    "preprocess": ("plugin.py", "x / SCALE - 1.0", "x / SCALE"),
    "build": ("plugin.py", '"tanh"', '"sigmoid"'),
    "module next to it": ("helper.py", "127.5", "255.0"),
}


def write(folder: Path) -> Path:
    """Write the plugin, and a module next to it that it imports."""
    folder.mkdir(exist_ok=True)
    (folder / "helper.py").write_text("SCALE = 127.5\n")
    (folder / "plugin.py").write_text(PLUGIN)
    return folder / "plugin.py"


def edit(folder: Path, name: str) -> None:
    """Apply one of `EDITS` to the plugin."""
    file, before, after = EDITS[name]
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after))


def load(plugin: Path) -> Backbone:
    """Import the plugin anew, as a new process does."""
    sys.modules.pop("helper", None)
    sys.path.insert(0, str(plugin.parent))
    try:
        spec = importlib.util.spec_from_file_location("edited_plugin", plugin)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["edited_plugin"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(plugin.parent))
    backbone: Backbone = module.BACKBONE
    return backbone
