"""Design-space search: the overlay that suits networks, a part and a goal."""
