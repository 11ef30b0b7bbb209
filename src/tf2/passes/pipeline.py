"""The passes that every imported graph goes through, in order."""

from __future__ import annotations

from tf2.ir import Graph
from tf2.ir.rewriter import RewritePattern, Rewritten, follow, rewrite
from tf2.passes.canonicalize_clip import CanonicalizeClip
from tf2.passes.canonicalize_linear import CanonicalizeLinear
from tf2.passes.canonicalize_pool import CanonicalizeGlobalPool
from tf2.passes.canonicalize_sum import CanonicalizeSum
from tf2.passes.eliminate_identity import EliminateIdentity
from tf2.passes.fold_affine import FoldAffine
from tf2.passes.fold_batch_norm import FoldBatchNorm
from tf2.passes.fold_pad import FoldPad
from tf2.passes.lower_activation import LowerActivation
from tf2.passes.lower_affine import LowerAffine
from tf2.passes.lower_conv_transpose import LowerConvTranspose
from tf2.passes.lower_resize import LowerResize

FOLDS: tuple[RewritePattern, ...] = (
    EliminateIdentity(),
    CanonicalizeLinear(),
    CanonicalizeGlobalPool(),
    CanonicalizeSum(),
    CanonicalizeClip(),
    FoldPad(),
    FoldBatchNorm(),
    FoldAffine(),
)
"""Until none applies; then what is left of affine nodes and activations is lowered."""

LOWERINGS: tuple[RewritePattern, ...] = (
    LowerConvTranspose(),
    LowerAffine(),
    LowerResize(),
    LowerActivation(),
)


def canonicalize(graph: Graph) -> Rewritten:
    """Return the graph in the form that quantization reads, with what was left alone and why.

    It computes the same function: float32 results differ by rounding only.
    """
    folded = rewrite(graph, FOLDS)
    lowered = rewrite(folded.graph, LOWERINGS)
    present = {node.name for node in lowered.graph.nodes}
    return Rewritten(
        graph=lowered.graph,
        declined=tuple(d for d in (*folded.declined, *lowered.declined) if d.node in present),
        absorbed=follow({**folded.absorbed, **lowered.absorbed}, present),
    )
