"""Graph -> graph, one rewrite a file; `canonicalize` is the ordered list."""

from tf2.passes.expose_pixels import expose_pixels
from tf2.passes.pipeline import canonicalize

__all__ = ["canonicalize", "expose_pixels"]
