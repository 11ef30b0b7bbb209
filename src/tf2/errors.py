"""Every error TF2 raises on purpose.

Tf2Error
├── ImportModelError        a model file cannot be read, or means something we do not understand
│   └── UnsupportedOpError  one operator of it: names node, operator, what is allowed
├── VerifyError             a graph breaks a rule of the IR
├── PassError               a pass failed; names the pass
├── DataError               images, arrays, labels or preprocessing that cannot be used
├── CompressionError        weights, calibration or settings that cannot be compressed
├── TrainingError           a network, data or checkpoint that training cannot go on with
├── PruningError            a network that cannot be made as small as asked
├── ModelFileError          a .tf2 file that is truncated, altered, foreign or too new
├── EngineError             a model cannot run: wrong inputs, missing engine
├── ConfigError             an overlay that cannot be built
├── CompileError            a network that cannot be compiled for an overlay
│   └── DoesNotFitError     a memory of the overlay is too small; says which and by how much
├── ProgramError            a program that breaks a rule of the ISA, or was made for another overlay
├── BuildError              no bitstream can be made: a tool failed; says why, and where its log is
│   ├── PartTooSmallError   the design needs more than the part has; says what, and what would do
│   └── ClockMissedError    the design is placed and routed, but slower than asked for
├── DeviceError             a device reports an error, or does not answer
│   └── LinkError           a transfer to a board failed; it may be tried again
└── MissingExtraError       an optional dependency is absent; says which extra to install

A message has four parts: the thing (file, node, layer), what was found, what is allowed, and what
to do. Outer layers add context and re-raise ``from`` the inner error.
"""

from __future__ import annotations


class Tf2Error(Exception):
    """Base of every error TF2 raises on purpose; the command line prints it and exits with 1."""


class ImportModelError(Tf2Error):
    """A model file cannot be read, or holds something TF2 does not understand."""


class UnsupportedOpError(ImportModelError):
    """One operator cannot be imported.

    Args:
        node: Name of the node as the source file gives it.
        op: The source format's name of the operator.
        reason: What was found and what is allowed.
        hint: What the user can do.
    """

    def __init__(self, *, node: str, op: str, reason: str, hint: str) -> None:
        super().__init__(f"{op} node {node!r}: {reason}. {hint}")
        self.node = node
        self.op = op


class VerifyError(Tf2Error):
    """A graph breaks a rule of the IR."""


class PassError(Tf2Error):
    """A pass failed; the message names the pass and the node."""


class DataError(Tf2Error):
    """Images, arrays, labels or preprocessing that cannot be used."""


class CompressionError(Tf2Error):
    """Weights, calibration data or settings that cannot be compressed."""


class TrainingError(Tf2Error):
    """A network, data or checkpoint that training cannot go on with: NaN, a foreign checkpoint."""


class PruningError(Tf2Error):
    """A network that cannot be made as small as asked; says how small it can be."""


class ModelFileError(Tf2Error):
    """A ``.tf2`` file that is truncated, altered, foreign or too new."""


class EngineError(Tf2Error):
    """A model cannot run: wrong inputs, a missing source model, an unknown engine."""


class ConfigError(Tf2Error):
    """An overlay configuration that cannot be built."""


class CompileError(Tf2Error):
    """A network that cannot be compiled for an overlay; the message names the layer."""


class DoesNotFitError(CompileError):
    """A memory of the overlay is too small; says which, by how much, and what would do."""


class ProgramError(Tf2Error):
    """A program that breaks a rule of the ISA, or was made for another overlay."""


class BuildError(Tf2Error):
    """No bitstream can be made: a tool failed; says why, and where its log is."""


class PartTooSmallError(BuildError):
    """The design needs more than the part has; says what, by how much, and what would do."""


class ClockMissedError(BuildError):
    """The design is placed and routed, but slower than asked for; says what was tried."""


class RoutingStalledError(BuildError):
    """The design is placed, and its wires find no way; says how far the router came."""


class DeviceError(Tf2Error):
    """A device reports an error or does not answer; the message names the layer."""


class LinkError(DeviceError):
    """A transfer over a link failed; it may be tried again after `tf2.runtime.Link.recover`."""


class MissingExtraError(Tf2Error):
    """An optional dependency is absent.

    Args:
        extra: The extra of the ``tf2`` package that brings it.
        need: What it is needed for, as the start of a sentence.
    """

    def __init__(self, *, extra: str, need: str) -> None:
        super().__init__(f"{need} needs the extra {extra!r}: pip install 'tf2[{extra}]'")
        self.extra = extra
