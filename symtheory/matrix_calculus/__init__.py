"""Matrix calculus at symbolic size: polynomials in matrices that do not commute, traces, derivatives, operators."""
