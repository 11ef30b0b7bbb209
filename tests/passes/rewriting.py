"""Applying patterns to a graph and checking what every pattern must keep."""

from __future__ import annotations

import numpy as np

from float_graphs import assert_same_function, feeds
from tf2.ir import Graph, to_text
from tf2.ir.rewriter import RewritePattern, Rewritten, rewrite


def rewritten(before: Graph, rng: np.random.Generator, *patterns: RewritePattern) -> Rewritten:
    """Return the graph with the patterns applied: same function, and a second run changes nothing.

    Graphs with a free batch are compared on three samples, which no shape of a graph knows of.
    """
    done = rewrite(before, patterns)
    assert_same_function(before, done.graph, feeds(before, rng, 3))
    again = rewrite(done.graph, patterns)
    assert to_text(again.graph) == to_text(done.graph)
    assert not again.absorbed
    return done


def reasons(done: Rewritten) -> dict[str, str]:
    """Return why each declined node was left."""
    return {declined.node: declined.reason for declined in done.declined}


def untouched(before: Graph, rng: np.random.Generator, *patterns: RewritePattern) -> dict[str, str]:
    """Return the reasons of patterns that must leave the graph as it is."""
    done = rewritten(before, rng, *patterns)
    assert to_text(done.graph) == to_text(before)
    return reasons(done)
