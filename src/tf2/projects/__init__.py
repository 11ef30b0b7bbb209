"""Projects for the vendors' tools: what `tf2 build` gives for parts that open tools do not make."""

from tf2.projects.checks import lint, synthesise
from tf2.projects.project import ProjectFiles, generate

__all__ = ["ProjectFiles", "generate", "lint", "synthesise"]
