"""V Σ relu(K ∗ x + b): a convolution of images, summed over all positions, with a linear readout."""

from __future__ import annotations

import symtheory as st

channels, height, width, s, c, k = st.dims("channels height width s c k")
x = st.input("x", channels, height, width)
K, b = st.param("K", c, channels, s, s), st.param("b", c)
V = st.param("V", k, c)
z = st.relu(st.conv(K, x) + b.reshape(c, 1, 1))
convolution = st.Parametrization(V @ z.sum(axis=(1, 2)), name="convolution")
