"""Torch functions that solve the Gram system of coupled factors by iteration; {flat} names what lowers tangents."""

from __future__ import annotations

CONJUGATE_GRADIENTS = '''\
def _dot(a: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
    """Sum of the products of all entries of two Lie algebra elements; shape (*batch)."""
    return sum(
        (a[key] * b[key]).flatten(-axes).sum(-1) if axes else a[key] * b[key]
        for key, axes in ALGEBRA_AXES.items()
    )


def _conjugate_gradients(
    point: dict[str, Tensor], moment: dict[str, Tensor], floor: Tensor
) -> dict[str, Tensor]:
    """The Lie algebra element whose field has a moment, to an error with a square of at most floor.

    Preconditioned factor by factor. Where values cannot be looked at, it goes on without change up
    to SOLVER_STEPS under torch.func.vmap and to COMPILED_STEPS under torch.compile, which unrolls.
    """

    def shifted(a: dict[str, Tensor], number: Tensor, b: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            key: a[key] + number[(..., *[None] * axes)] * b[key]
            for key, axes in ALGEBRA_AXES.items()
        }

    def ratio(top: Tensor, bottom: Tensor) -> Tensor:
        tiny = torch.finfo(bottom.dtype).tiny
        return torch.where(bottom > tiny, top / bottom.clamp(min=tiny), 0.0)

    gram, precondition = _gram_operator(point), _preconditioner(point)
    solution = {key: torch.zeros_like(moment[key]) for key in ALGEBRA_AXES}
    residual, direction = moment, precondition(moment)
    size = _dot(residual, direction)
    for _ in range(COMPILED_STEPS if torch.compiler.is_compiling() else SOLVER_STEPS):
        active = size > floor
        if _all_done(active):
            break
        image = gram(direction)
        step = torch.where(active, ratio(size, _dot(direction, image)), 0.0)
        solution = shifted(solution, step, direction)
        residual = shifted(residual, -step, image)
        preconditioned = precondition(residual)
        next_size = _dot(residual, preconditioned)
        weight = torch.where(active, ratio(next_size, size), 0.0)
        direction = shifted(preconditioned, weight, direction)
        size = next_size
    return solution


class _GramSolution(torch.autograd.Function):
    """Conjugate gradients, with derivatives by the implicit function theorem.

    From gram(point) a = m follows gram(point) da = dm − dgram a, and gram(point) is symmetric. To
    differentiate the iteration itself would be wrong: it stops before its derivatives converge.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(floor: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        point, moment = _unpacked(tensors)
        return tuple(_conjugate_gradients(point, moment, floor).values())

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs[1:], *output)
        ctx.save_for_forward(*inputs[1:], *output)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        count = len(gradients)
        point, _ = _unpacked(ctx.saved_tensors[:-count])
        solution = dict(zip(ALGEBRA_AXES, ctx.saved_tensors[-count:], strict=True))
        adjoint = _gram_solution(point, dict(zip(ALGEBRA_AXES, gradients, strict=True)))
        _, pull = torch.func.vjp(lambda at: _gram_operator(at)(solution), point)
        (slope,) = pull({key: -value for key, value in adjoint.items()})
        return (None, *(slope[key] for key in PARAMETERS), *adjoint.values())

    @staticmethod
    def jvp(ctx, _: None, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        _refuse_nested_forward_mode()
        count = len(ALGEBRA_AXES)
        saved = ctx.saved_tensors
        known = [
            torch.zeros_like(value) if tangent is None else tangent
            for value, tangent in zip(saved[:-count], tangents, strict=True)
        ]
        point, _ = _unpacked(saved[:-count])
        change, right_side = _unpacked(known)
        solution = dict(zip(ALGEBRA_AXES, saved[-count:], strict=True))
        turned = torch.func.jvp(lambda at: _gram_operator(at)(solution), (point,), (change,))[1]
        moment = {key: right_side[key] - turned[key] for key in ALGEBRA_AXES}
        return tuple(_gram_solution(point, moment).values())


def _refuse_nested_forward_mode() -> None:
    """torch turns forward mode off inside custom rules: a second derivative would lack a part."""
    try:
        from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters
    except ImportError:  # a torch that does not say what surrounds a function
        return
    modes = [interpreter.key().name for interpreter in retrieve_all_functorch_interpreters()]
    if modes.count("Jvp") > 1:
        raise RuntimeError(
            "torch has no jvp of jvp through project_horizontal: take jvp of grad, or grad of jvp"
        )


def _unpacked(tensors: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A point and a Lie algebra element from their tensors in order."""
    point = dict(zip(PARAMETERS, tensors[: len(PARAMETERS)], strict=True))
    return point, dict(zip(ALGEBRA_AXES, tensors[len(PARAMETERS) :], strict=True))


def _gram_solution(
    point: dict[str, Tensor], moment: dict[str, Tensor], square: Tensor | None = None
) -> dict[str, Tensor]:
    """The Lie algebra element whose field has a moment, to rounding.

    square: what the square of the error's length is small against; by default that of the field.
    """
    if square is None:
        square = _dot(moment, _preconditioner(point)(moment))
    floor = (16 * torch.finfo(square.dtype).eps) ** 2 * square.detach()
    if torch.compiler.is_compiling():
        return _conjugate_gradients(point, moment, floor)
    tensors = [*(point[key] for key in PARAMETERS), *(moment[key] for key in ALGEBRA_AXES)]
    return dict(zip(ALGEBRA_AXES, _GramSolution.apply(floor, *tensors), strict=True))


def _solve_gram(point: dict[str, Tensor], xi: dict[str, Tensor]) -> dict[str, Tensor]:
    """The Lie algebra element whose field has the same products with all vertical fields as xi."""
    covector = {flat}(point, xi)
    squares = {key: covector[key] * xi[key] for key in PARAMETERS}
    square = sum(
        squares[key].flatten(-len(shape)).sum(-1) if shape else squares[key]
        for key, shape in PARAMETERS.items()
    )
    return _gram_solution(point, _moment(point, covector), square)
'''
