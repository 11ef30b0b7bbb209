"""Overlays that run on a computer."""
