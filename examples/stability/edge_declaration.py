"""The normal form of the edge of stability as a loss of two parameters, declared; run to write the torch code with
which numeric.stability forecasts.

    python examples/stability/edge_declaration.py [numeric/stability/generated]

The functions speak of alpha, beta and noise alone and are the same for every graph. A test holds the committed file to
what this writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import symtheory as st
from symtheory.catalog.curved_valley import curved_valley

GENERATED = Path(__file__).resolve().parents[2] / "numeric" / "stability" / "generated"
FUNCTIONS = (
    "sharpness_gap", "corrected", "identity", "of_drift_noise", "drift_noise_kept", "distance", "oscillation", "step",
    "amplitudes", "matrix", "directions_step", "directions_identity",
)  # fmt: skip


def main(folder: Path) -> None:
    """Write sharpness_gap.py into the folder."""
    only = [name if name == "sharpness_gap" else f"sharpness_gap_{name}" for name in FUNCTIONS]
    st.generate(curved_valley, "euclidean", only=only).save(folder / "sharpness_gap.py")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write sharpness_gap.py into a folder.")
    parser.add_argument("folder", type=Path, nargs="?", default=GENERATED)
    main(parser.parse_args().folder)
