"""A bias that is wanted, a parametrization that has it, and training that ends where the explicit problem does."""

import torch

import numeric
import symtheory as st

P = st.design("log(1 + w**2)", mechanism="weight_decay", name="log_penalty")
print(P, P.source(), P.predictions()["weight_decay"], sep="\n\n")

DECAY, x, y = 0.3, torch.eye(3, dtype=torch.float64), torch.tensor([0.4, 1.0, 3.0], dtype=torch.float64)
runs = numeric.train(
    st.generate(P),
    numeric.losses.linear_regression,
    {"x": x, "y": y},
    optimizer=numeric.GradientDescent(lr=0.1, weight_decay=DECAY),
    initial={"u": torch.ones(3, dtype=torch.float64)},
    steps=3_000,
)
grid = torch.linspace(-1, 4, 500_001, dtype=torch.float64)  # the explicit problem, one coefficient at a time
penalty = DECAY / 2 * torch.log1p(grid**2)
explicit = torch.stack([grid[((grid - target) ** 2 / 6 + penalty).argmin()] for target in y])
trained = st.generate(P).load().predictor(runs.final)[0]
print("trained ", *(f"{w:.4f}" for w in trained.tolist()))
print("explicit", *(f"{w:.4f}" for w in explicit.tolist()))
