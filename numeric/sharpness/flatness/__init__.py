"""Flatness of one layer, relative to the size of its weights."""
