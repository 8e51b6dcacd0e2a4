"""``python -m symtheory.cli``."""

from symtheory.cli.app import main

main()
