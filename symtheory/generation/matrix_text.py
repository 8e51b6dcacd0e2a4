"""Torch functions that are the same for every geometry of matrices, as text."""

from __future__ import annotations

NORM = '''\
def norm(point: dict[str, Tensor], xi: dict[str, Tensor]) -> Tensor:
    """Length of a tangent, sqrt(inner(point, xi, xi)), in the {metric} metric; shape (*batch)."""
    return inner(point, xi, xi).sqrt()
'''

CHRISTOFFEL_RATE = '''\
def _christoffel_rate(
    point: dict[str, Tensor], xi: dict[str, Tensor], acceleration: dict[str, Tensor]
) -> dict[str, Tensor]:
    """d/dt Γ(γ', γ') along a curve γ from the point, with γ' = xi and γ'' = acceleration."""
    point, xi, acceleration = _aligned(point, xi, acceleration)
    return torch.func.jvp(christoffel_form, (point, xi), (xi, acceleration))[1]
'''

HESSIAN = '''\
def riemannian_hessian(
    function: Callable[[dict[str, Tensor]], Tensor],
    point: dict[str, Tensor],
    xi: dict[str, Tensor],
    zeta: dict[str, Tensor],
) -> Tensor:
    """Hessian of a function in the {metric} metric, ∇²f(xi, zeta) − df(Γ(xi, zeta)).

    For horizontal xi and zeta and a function that is constant along orbits this is the Hessian on
    the quotient. A single point, without batch axes.

    Args:
        function: differentiable, takes a point and returns a tensor ``()``.
        point, xi, zeta: dicts with the parameters of the declaration, without batch axes.
    Returns:
        tensor ``()``.
    """

    def slope(at: dict[str, Tensor]) -> Tensor:
        return torch.func.jvp(function, (at,), (zeta,))[1]

    plus, minus = (
        christoffel_form(point, {{key: xi[key] + sign * zeta[key] for key in PARAMETERS}})
        for sign in (1, -1)
    )
    # Γ(xi, zeta) = (Γ(xi + zeta, xi + zeta) − Γ(xi − zeta, xi − zeta)) / 4
    mixed = {{key: (plus[key] - minus[key]) / 4 for key in PARAMETERS}}
    return (
        torch.func.jvp(slope, (point,), (xi,))[1]
        - torch.func.jvp(function, (point,), (mixed,))[1]
    )
'''

HESSIAN_TRACE = '''\
def hessian_trace(
    function: Callable[[dict[str, Tensor]], Tensor], point: dict[str, Tensor]
) -> Tensor:
    """Trace of the function's Hessian on the quotient, in the {metric} metric.

    Sums ``riemannian_hessian(P e, e♯)`` over the coordinate directions e, with e♯ their duals and P
    the horizontal projection: one Hessian product for every parameter, so for small models.

    Args:
        function: differentiable, takes a point and returns a tensor ``()``; constant along orbits.
        point: dict with the parameters of the declaration, without batch axes.
    Returns:
        tensor ``()``.
    """
    total = point[next(iter(PARAMETERS))].new_zeros(())
    for key in PARAMETERS:
        zeros = {{name: torch.zeros_like(point[name]) for name in PARAMETERS}}
        basis = torch.eye(point[key].numel(), dtype=point[key].dtype, device=point[key].device)

        def along(direction: Tensor, key: str = key, zeros: dict[str, Tensor] = zeros) -> Tensor:
            unit = {{**zeros, key: direction.reshape(point[key].shape)}}
            first = project_horizontal(point, unit)
            return riemannian_hessian(function, point, first, sharp(point, unit))

        total = total + torch.func.vmap(along)(basis).sum()
    return total
'''

GEODESIC = '''\
def geodesic(
    point: dict[str, Tensor],
    xi: dict[str, Tensor],
    t: float | Tensor = 1.0,
    order: int = 2,
) -> dict[str, Tensor]:
    """Geodesic of the {metric} metric at time t, from a point with velocity xi.

    Solves γ'' = −Γ(γ', γ') by a Taylor polynomial in t; of order 2 it is::

        point + t*xi - t**2/2*christoffel_form(point, xi)

    Orders 1 and 2 are retractions: they agree with the geodesic in value and velocity at t = 0,
    order 2 in acceleration too. No closed form is known for this metric.

    Args:
        point: dict with the parameters of the declaration.
        xi: dict with the keys and shapes of point.
        t: number, or tensor ``(*batch)``.
        order: 1, 2 or 3.
    Returns:
        dict with the keys and shapes of point.
    Raises:
        ValueError: another order.

    Source: {source}.
    """
    _require_alike(point, xi)
    if order not in (1, 2, 3):
        raise ValueError(f"order {{order!r}} is not available: choose 1, 2 or 3")
    like = xi[next(iter(PARAMETERS))]
    time = torch.as_tensor(t, dtype=like.dtype, device=like.device)
    times = {{key: time[(..., *[None] * len(shape))] for key, shape in PARAMETERS.items()}}
    curve = {{key: point[key] + times[key] * xi[key] for key in PARAMETERS}}
    if order == 1:
        return curve
    form = christoffel_form(point, xi)
    curve = {{key: curve[key] - times[key] ** 2 / 2 * form[key] for key in PARAMETERS}}
    if order == 2:
        return curve
    rate = _christoffel_rate(point, xi, {{key: -form[key] for key in PARAMETERS}})
    return {{key: curve[key] - times[key] ** 3 / 6 * rate[key] for key in PARAMETERS}}
'''

CHECK_DOMAIN = '''\
def check_domain(point: dict[str, Tensor]) -> None:
    """Refuse a point where a matrix that the {metric} metric inverts is singular to rounding.

    These are::

        {names}

    The other functions do not check, so that torch.func and torch.compile can trace them: there
    they may raise torch's own error or return inf or nan. This one looks at values, so call it
    outside of such transforms.

    Args:
        point: dict with the parameters of the declaration.
    Raises:
        ValueError: a matrix is singular; the message names it, where, and what to do.
    """
    for name, values in _eigenvalues(point).items():
        smallest, largest = values.min(-1).values, values.max(-1).values
        floor = values.shape[-1] * torch.finfo(values.dtype).eps * largest
        singular = (~(smallest > floor)).nonzero()
        if len(singular):
            index = tuple(singular[0].tolist())
            where = f" at index {{index}}" if index else ""
            raise ValueError(
                f"{{name}} has eigenvalues from {{smallest[index]:.3g}} to "
                f"{{largest[index]:.3g}}{{where}}: "
                "outside the domain of the {metric} metric; move the point to where its "
                "parameters have full rank, or choose smaller inner sizes"
            )
'''

RELAXATION_EFFECT = '''\
def relaxation_effect(point: dict[str, Tensor]) -> dict[str, Tensor]:
    """By how much, relative to one, the relaxation can change a squared length, weight by weight.

    A weight K with eigenvalues λ has become K + ε mean(λ) with ε = {epsilon}: this is
    ε mean(λ) / min(λ), infinite where K has lost rank and the exact metric does not exist.

    Args:
        point: dict with the parameters of the declaration.
    Returns:
        dict with a tensor ``(*batch)`` for every weight, by its formula.
    """
    return {{
        name: {epsilon} * values.mean(-1) / values.min(-1).values.clamp(min=0)
        for name, values in _exact_eigenvalues(point).items()
    }}
'''

NO_DOMAIN = '''\
def check_domain(point: dict[str, Tensor]) -> None:
    """Nothing to check: the {metric} metric is defined at every point."""
'''

PROJECTION_NOTE = (
    "Subtracts the field of the Lie algebra element whose field has the same inner products with all vertical tangents "
    "as xi. Gram matrices square the condition number, so they are taken and solved in float64."
)
ITERATION_NOTE = (
    "Subtracts the field of the Lie algebra element whose field has the same inner products with all vertical tangents "
    "as xi, found in float64 by preconditioned conjugate gradients."
)
