"""The overlay as hardware, in Amaranth, one unit a file. Knows no networks."""
