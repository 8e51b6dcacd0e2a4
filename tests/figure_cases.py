"""Data of every kind of figure, small, with what is hard to draw in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def node(name: str, kind: str, label: str = "", shape: object = ("d",)) -> dict[str, object]:
    return {"id": name, "label": label or name, "kind": kind, "shape": shape}


ATTENTION = {
    "nodes": [
        node("x", "input", shape=["d_model", "tokens"]),
        *(node(w, "parameter", shape=["d_head", "d_model"]) for w in ("W_query", "W_key", "W_value", "W_out")),
        node("mask", "constant", shape="tokens × tokens"),
        *(node(f"m{k}", "operation", "matmul", ["tokens", "tokens"]) for k in range(5)),
        node("add", "operation"),
        node("soft", "operation", "softmax(axis = 1)"),
        node("out", "operation", "matmul"),
        node("residual", "output", "add"),
    ],
    "edges": [
        *(["x", "m0"], ["x", "m1"], ["x", "m2"], ["W_query", "m0"], ["W_key", "m1"], ["W_value", "m2"]),
        *(["m0", "m3"], ["m1", "m3"], ["m3", "add"], ["mask", "add"], ["add", "soft"], ["soft", "m4"]),
        *(["m2", "m4"], ["m4", "out"], ["W_out", "out"], ["out", "residual"], ["x", "residual"]),
    ],
    "title": "One attention head with its residual connection, drawn from a plain record",
}
SQUARE = {
    "nodes": [node("u", "parameter", shape=[]), node("m", "output", "u * u", "")],
    "edges": [["u", "m"], ["u", "m"]],
}


CASES_OF_GAPS = {
    "digits, tanh, squared": 1.0,
    "patches, CNN, cross-entropy": 0.3,
    "patches, ResNet, squared": 2.0,
    "patches, ResNet, cross-entropy": 3.0,
}


def gaps(scale: float) -> dict[str, Any]:
    return {
        "inverse_batch": 1 / np.array([8.0, 16.0, 32.0, 128.0]),
        "gap": scale * np.array([4.0, 2.1, 1.1, -0.1]),
        "error": np.array([0.3, 0.1, 0.1, 0.1]),
        "leading": scale * np.array([3.9, 2.0, 1.0, 0.2]),
        "leading_error": np.full(4, 0.2),
        "corrected": scale * np.array([4.1, 2.1, 1.1, 0.2]),
        "corrected_error": np.full(4, 0.1),
        "edge": np.full(4, 20.0),
        "holds": np.array([1, 1, 0, 0]),
    }


def sample(kind: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    eta, steps = np.array([0.01, 0.02, 0.04]), np.arange(0, 5001)
    long = "A title that says at some length what this figure shows, longer than one line of its width allows"
    return {
        "graph": ATTENTION,
        "convergence": {
            "eta": eta,
            "deviation": {"α = 0.1": 0.3 * eta * (1 + eta), "α = 1": 0.02 * eta},
            "expected_slope": 1.0,
            "title": long,
        },
        "extrapolation": {
            "eta": eta,
            "ratio": {"variance": 1 + eta, "shift of the mean": 1 + 2 * eta},
            "error": {"variance": np.full(3, 0.003), "shift of the mean": np.full(3, 0.01)},
            "title": long,
        },
        "relaxation": {
            "time": {"η = 0.1": eta, "η = 0.05": 2 * eta},
            "measured": {"η = 0.1": eta, "η = 0.05": 2 * eta},
            "error": {"η = 0.1": 0.1 * eta, "η = 0.05": 0.1 * eta},
            "predicted": {"η = 0.1": eta, "η = 0.05": 2 * eta},
            "title": long,
        },
        "edge": {
            "steps": np.arange(40),
            "edge": 20.0,
            "curvatures": {"S": np.linspace(5, 19, 40), "next eigenvalue, at least": np.linspace(4, 12, 40)},
            "noisy": {"batch sharpness": np.r_[np.linspace(4, 18, 39), np.nan]},
            "drift": {"α": np.linspace(0.1, 0.2, 40), "½βx²": np.linspace(0, 0.2, 40)},
            "forecasts": {"forecast, leading order": 18.0, "forecast, corrected": 17.5, "exact identity": 17.8},
            "window": [20, 39],
            "title": long,
        },
        "gap": {
            "series": {name: gaps(scale) for name, scale in CASES_OF_GAPS.items()},
            "fits": {"digits, tanh, squared": {"slope": 1.1, "half_width": 0.2, "log_factor": 3.5}},
            "title": long,
        },
        "collapse": {"series": {name: gaps(scale) for name, scale in CASES_OF_GAPS.items()}, "title": long},
        "dynamics": {
            "steps": np.arange(7, 47),
            "edge": 20.0,
            "x": {
                "run": np.sin(np.arange(40)),
                "reduced": np.r_[np.sin(np.arange(30)), 1e30, np.full(9, np.nan)],
                "cubic": np.sin(np.arange(40)),
            },
            "y": {name: scale * np.linspace(-1, 1, 40) for name, scale in (("run", 1), ("reduced", 2), ("cubic", 1))},
            "curvatures": {"S": np.full(40, 20.0), "next eigenvalue, at least": np.linspace(15, 20, 40)},
            "distance": np.linspace(0.0, 0.1, 40),
            "error": {
                "reduced": np.r_[0.0, np.geomspace(1e-4, 1e30, 30), np.full(9, np.nan)],
                "cubic": np.full(40, 1e-4),
            },
            "title": long,
        },
        "orbit": {
            "conditions": np.array([10.0, 100.0]),
            "panels": {
                kind: {"geodesic, mixed": np.array([1e-7, -2e-7]), "adaptive": np.array([0.2, 4.1])}
                for kind in ("worst case", "average")
            },
            "outputs": np.array([3e-7, 1e-6]),
            "title": long,
        },
        "fibre": {
            "w": np.array([-0.5, 0.0, 0.5]),
            "norm": np.array([1.0, 0.0, 1.0]),
            "start_w": np.array([0.2, 0.3]),
            "start_norm": np.array([1.2, 0.9]),
            "grid": np.linspace(-1, 1, 41),
            "minimum": 2 * np.abs(np.linspace(-1, 1, 41)),
            "title": long,
        },
        "trajectories": {
            "steps": steps[::50],
            "distances": {
                "SGD with label noise": torch.rand(20, 101, generator=torch.Generator().manual_seed(1)),
                "gradient descent": np.exp(-steps[::50] / 900),
            },
            "title": long,
        },
        "density": {
            "eta": eta,
            "samples": rng.gamma(20, 0.05, (3, 5000)),
            "grid": np.linspace(0, 2, 100),
            "density": np.ones((3, 100)) / 2,
            "notes": ["KS distance 0.0312, p = 0.21"] * 3,
            "title": long,
        },
        "coefficients": {
            "reference": rng.standard_normal(55),
            "estimates": {"SGD with label noise": rng.standard_normal(55), "gradient descent": np.zeros(55)},
            "title": long,
        },
        "residual": {
            "steps": steps,
            "residual": {"weight decay 0": np.full(5001, 1e-16), "weight decay 0.01": np.zeros(5001)},
            "tolerance": 1e-10,
            "title": long,
        },
        "curvature": {
            "series": {
                f"μ = {mu:g}": {
                    "x": np.linspace(0.2, 1.5, 12),
                    "ratio": 1 / (1 - np.linspace(0.2, 1.5, 12) / (2 + mu)),
                    "error": np.full(12, 0.05),
                    "predicted": 1 / (1 - np.linspace(0.2, 1.5, 12) / (2 + mu)),
                }
                for mu in (0.0, 0.6)
            },
            "title": long,
        },
        "bands": {
            "x": eta,
            "series": {name: {"middle": eta, "low": eta - 0.1, "high": eta + 0.1} for name in ("adaptive", "geodesic")},
            "title": long,
            "xlabel": "radius of the ball (dimensionless)",
            "ylabel": "Kendall's τ (band: 95 %)",
        },
        "scatter": {
            "panels": {
                f"measure {k}": {"x": rng.gamma(2, 1e-3, 40), "y": rng.gamma(2, 0.1, 40), "label": "τ = −0.31"}
                for k in range(5)
            },
            "groups": ["perceptron", "convolutional"] * 20,
            "title": long,
            "ylabel": "gap in loss (dimensionless)",
            "logarithmic": "both",
        },
        "correlations": {
            "names": [f"worst case, adaptive {k}" for k in range(12)],
            "matrix": np.corrcoef(rng.standard_normal((12, 20))),
            "title": long,
        },
        "intervals": {
            "names": [f"worst case, adaptive {k}" for k in range(12)],
            "series": {
                name: {"middle": np.zeros(12), "low": np.full(12, -0.2), "high": np.full(12, 0.3)}
                for name in ("gap in loss", "gap in error", "test error")
            },
            "title": long,
            "xlabel": "Kendall's τ with 95 % interval (dimensionless)",
        },
    }[kind]
