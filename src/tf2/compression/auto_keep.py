"""The fewest layers to keep at 8 bits so that a given loss is met."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tf2.compression.compress import Batch, Compressed, Progress, compress
from tf2.compression.sensitivity import sensitivity
from tf2.errors import CompressionError
from tf2.ir import Graph
from tf2.model_file.manifest import CompressionSettings


def auto_keep(
    graph: Graph,
    batches: Sequence[Batch],
    settings: CompressionSettings,
    *,
    loss: Callable[[Compressed], float],
    target: float,
    pixel_affine: tuple | None = None,
    progress: Progress | None = None,
) -> tuple[Compressed, CompressionSettings]:
    """Return the network with the fewest kept layers that loses no more than ``target``.

    Layers are kept in the order of what they alone cost the output (see `sensitivity`), after
    those that ``settings`` keeps anyway; the number is found by doubling and bisection, so each
    answer is a network that was compressed and measured.

    Args:
        graph: Imported, float.
        batches: Calibration samples.
        settings: Of each trial.
        loss: Measures a network, in any unit.
        target: In that unit.
        pixel_affine: See `compress`.
        progress: Told of each trial.

    Raises:
        CompressionError: Not even all layers at 8 bits meet the target; says what they lose.
    """

    def trial(count: int, order: Sequence[str]) -> tuple[float, Compressed, CompressionSettings]:
        keep = (*settings.keep, *order[:count])
        chosen = settings.model_copy(update={"keep": keep})
        result = compress(graph, batches, chosen, pixel_affine=pixel_affine, progress=progress)
        return loss(result), result, chosen

    lost, result, chosen = trial(0, ())
    if lost <= target:
        return result, chosen
    noise = sensitivity(result, batches)
    order = sorted((n for n in noise if n not in settings.keep), key=lambda n: -noise[n])
    good, best = len(order), trial(len(order), order)
    if best[0] > target:
        raise CompressionError(
            f"the loss is {best[0]:.2f} with every layer kept at 8 bits, {lost:.2f} with none, and "
            f"is to be {target:.2f} at most: allow more, or give more calibration samples"
        )
    bad, count = 0, 1
    while good - bad > 1:
        attempt = trial(count, order)
        if attempt[0] <= target:
            good, best = count, attempt
        else:
            bad = count
        count = min(2 * bad, (good + bad) // 2) if bad and 2 * bad < good else (good + bad) // 2
    return best[1], best[2]
