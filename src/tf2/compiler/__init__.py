"""From an integer graph to a program for an overlay."""
