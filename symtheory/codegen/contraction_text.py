"""The text of the function that contracts two tensors in a generated module."""

from __future__ import annotations

CONTRACT = "_contract"

CONTRACTION_TEXT = '''\
def _contract(axes: str, left: Tensor, right: Tensor) -> Tensor:
    """``torch.einsum``; under torch.compile a sum of few products is written out, to be fused.

    Batches of tiny matrix products cost more in calls than in arithmetic.
    """
    first, second, result = axes.replace("...", "").replace("->", ",").split(",")
    summed = "".join(dict.fromkeys(axis for axis in first + second if axis not in result))
    count = 1
    for axis in summed:
        count *= left.shape[first.index(axis) - len(first)]
    if count > 8 or not torch.compiler.is_compiling():
        return torch.einsum(axes, left, right)
    order = result + summed
    spread = []
    for tensor, own in ((left, first), (right, second)):
        places = [own.index(axis) - len(own) for axis in order if axis in own]
        moved = torch.movedim(tensor, places, list(range(-len(own), 0)))
        spread.append(moved[(..., *(slice(None) if axis in own else None for axis in order))])
    product = spread[0] * spread[1]
    return product.sum(dim=tuple(range(-len(summed), 0))) if summed else product
'''
