"""A complete board design around the overlay: memory controller, host link, clocks (LiteX)."""
