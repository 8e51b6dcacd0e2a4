"""Torch source from SymPy expressions; importing it loads SymPy only, never torch."""
