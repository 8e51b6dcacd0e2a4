"""From a declaration to a confirmed prediction, in one screen of code."""

import torch

import numeric
import symtheory as st

u, v = st.param("u"), st.param("v")  # scalars; st.param("G", n, h) for arrays
P = st.Parametrization(u * v, name="product")
law = P.predictions()["stationary_density"]
print(P.symmetries(), P.conserved(), law, sep="\n")

M = st.generate(P, metric="mixed").load()  # from here on: plain torch
one = torch.ones((), dtype=torch.float64)
runs = [
    numeric.train(
        M,
        numeric.losses.coefficient_error,
        {"y": one.reshape(1)},
        optimizer=numeric.SGD(lr=eta, batch_size=1, label_noise=(0.2 / eta) ** 0.5),
        initial={"u": one, "v": one},
        replicas=20_000,
        seed=seed,
        steps=round(12 / eta),
        record_at=range(round(4 / eta), round(12 / eta), round(1 / eta)),
        observables={"predictor": numeric.observables.predictor(M)},
    )
    for seed, eta in enumerate([0.04, 0.02, 0.01])
]
print(numeric.check(law, runs, {"y": one.reshape(1)}))
