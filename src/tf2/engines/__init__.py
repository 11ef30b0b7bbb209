"""What runs a model, behind one `Session`."""

from tf2.engines.inputs import ValueInfo
from tf2.engines.registry import EngineFactory, Executable, engine_names, register_engine
from tf2.engines.session import Session
from tf2.engines.target import Target

__all__ = [
    "EngineFactory",
    "Executable",
    "Session",
    "Target",
    "ValueInfo",
    "engine_names",
    "register_engine",
]
