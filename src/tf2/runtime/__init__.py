"""The host side of a board: link, device, flashing."""
