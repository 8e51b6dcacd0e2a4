"""Private torch functions that generated functions call, as text."""

from __future__ import annotations

from collections.abc import Mapping

from symtheory.codegen.determinant_text import DETERMINANT_HELPERS

REQUIRE_ALIKE = '''\
def _require_alike(point: dict[str, Tensor], tangent: dict[str, Tensor]) -> None:
    """Refuse a tangent that lacks a parameter of the point, or has another shape than declared."""
    for key, shape in PARAMETERS.items():
        for name, tensors in (("point", point), ("tangent", tangent)):
            if key not in tensors:
                raise ValueError(
                    f"the {name} has no entry '{key}': it needs {', '.join(PARAMETERS)}"
                )
        wanted, found = (
            tensors[key].shape[-len(shape) :] if shape else () for tensors in (point, tangent)
        )
        if tangent[key].ndim < len(shape) or wanted != found:
            raise ValueError(
                f"the tangent's '{key}' is {tuple(tangent[key].shape)} and the point's is "
                f"{tuple(point[key].shape)}: give it the same {len(shape)} last axes"
            )
'''

GRAM = '''\
def _gram(x: Tensor) -> Tensor:
    """xᵀ x. On the CPU, of the two blocks off the diagonal only one is multiplied out."""
    half = x.shape[-1] // 2
    if half < 16 or x.is_cuda:
        return x.mT @ x
    first, second = x[..., :half], x[..., half:]
    lower = second.mT @ x
    upper = torch.cat((first.mT @ first, lower[..., :half].mT), -1)
    return torch.cat((upper, lower), -2)
'''

INVERSE = '''\
def _inverse(matrix: Tensor) -> Tensor:
    """Inverse L⁻ᵀ L⁻¹ of a positive definite matrix, L its Cholesky factor; nan where it is not.

    torch.cholesky_inverse is faster still, but its forward derivative is wrong in torch 2.13.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    root = torch.linalg.solve_triangular(factor, identity, upper=False)
    return torch.where((info == 0)[..., None, None], root.mT @ root, torch.nan)
'''

ROOT = '''\
def _root(matrix: Tensor, rows: Tensor) -> Tensor:
    """L with L Lᵀ = matrix = rowsᵀ rows. Where rows become rows gᵀ, L becomes g L.

    No triangular root does that. With fixed numbers S, B = S rows becomes B gᵀ, so that
    B⁻ᵀ matrix B⁻¹ = C Cᵀ stays as it is, and L = Bᵀ C.
    """
    count, size = rows.shape[-2:]
    place = torch.arange(size * count, dtype=rows.dtype, device=rows.device)
    fixed = (0.618 * place * place + 1).sin().reshape(size, count)  # as good as random
    mixed = fixed @ rows
    oblique = torch.linalg.solve(mixed.mT, matrix)
    invariant = torch.linalg.solve(mixed.mT, oblique.mT)
    return mixed.mT @ torch.linalg.cholesky_ex((invariant + invariant.mT) / 2)[0]
'''

ADD_PRODUCT = '''\
def _add_product(x: Tensor, y: Tensor, b: Tensor, factor: float) -> Tensor:
    """x + factor · y b, in one call where there is one batch axis."""
    is_batch = x.ndim == y.ndim == b.ndim == 3 and len(x) == len(y) == len(b)
    return torch.baddbmm(x, y, b, alpha=factor) if is_batch else x + factor * (y @ b)
'''

ADD_PRODUCTS = '''\
def _add_products(x: Tensor, a: Tensor, y: Tensor, b: Tensor, factor: float) -> Tensor:
    """x a + factor · y b. With one batch axis the second product is added into the first."""
    total = x @ a
    is_batch = total.ndim == y.ndim == b.ndim == 3 and len(total) == len(y) == len(b)
    if not is_batch or _is_transformed():
        return total + factor * (y @ b)
    return total.baddbmm_(y, b, alpha=factor)
'''

IS_TRANSFORMED = '''\
def _is_transformed() -> bool:
    """Whether torch.compile or torch.func is at work, or it cannot be told."""
    if torch.compiler.is_compiling():
        return True
    peek = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None)
    return peek is None or peek() is not None
'''

ALIGNED = '''\
def _aligned(*tangents: dict[str, Tensor]) -> tuple[dict[str, Tensor], ...]:
    """Points and tangents with the same batch axes and memory of their own, for forward mode."""
    rows = {key: torch.broadcast_tensors(*(t[key] for t in tangents)) for key in PARAMETERS}
    return tuple(
        {key: rows[key][place].contiguous() for key in rows} for place in range(len(tangents))
    )
'''

ALL_DONE = '''\
def _all_done(active: Tensor) -> bool:
    """Whether nothing is active; False where values cannot be looked at."""
    if torch.compiler.is_compiling():
        return False
    try:
        return not bool(active.any())
    except RuntimeError:  # inside torch.func.vmap
        return False
'''

HELPERS = {
    "_require_alike": REQUIRE_ALIKE,
    "_gram": GRAM,
    "_inverse": INVERSE,
    "_root": ROOT,
    "_add_product": ADD_PRODUCT,
    "_add_products": ADD_PRODUCTS,
    "_is_transformed": IS_TRANSFORMED,
    "_aligned": ALIGNED,
    "_all_done": ALL_DONE,
    **DETERMINANT_HELPERS,
}
"""Private functions that the others call, by name."""


def helpers_called(sources: Mapping[str, str]) -> dict[str, str]:
    """The private functions that some sources call, directly or through each other."""
    texts, called = list(sources.values()), set[str]()
    while texts:
        found = {name for name in HELPERS if any(f"{name}(" in text for text in texts)} - called
        called |= found
        texts = [HELPERS[name] for name in found]
    return {name: text for name, text in HELPERS.items() if name in called}
