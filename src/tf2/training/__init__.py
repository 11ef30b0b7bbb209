"""Training: a graph as a torch module, INQ, and the loop around them. Needs the extra "torch"."""
