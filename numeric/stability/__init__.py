"""The edge of stability: what a point of a training run says about it, and how a forecast fares against the run."""
