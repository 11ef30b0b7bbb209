"""The cycles of a program without simulating it: what `tf2.sim.rtl` would report, in seconds.

A twin of the overlay's control side, cycle by cycle wherever something moves between DDR, queues
and buffers, and in one step from there to where something moves again. The array itself is closed
form (`tf2.isa.timing`), as nothing stalls in it but the first group of a block.
"""

from tf2.sim.cycle_model.run import estimate_run

__all__ = ["estimate_run"]
