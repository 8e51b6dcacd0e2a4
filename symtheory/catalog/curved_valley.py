"""A valley whose walls steepen along its floor, and a floor that falls: the edge of stability in two parameters."""

from __future__ import annotations

import symtheory as st

x, s = st.param("x"), st.param("s")
curved_valley = st.Parametrization((1 + s) * x**2 / 2 - s / 8, name="curved_valley")
