"""The command line, and the composition root: the one place that knows both layers."""

from symtheory.cli.app import main

__all__ = ["main"]
