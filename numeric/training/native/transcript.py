"""What torch does in a step of one replica, written down as loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from numeric.errors import OptionError
from numeric.training.native.loops import Lines
from numeric.training.native.operand import Operand
from numeric.training.native.operations import assign
from numeric.training.native.pointwise import EXPRESSIONS, literal, power
from numeric.training.native.workspace import Span
from numeric.training.native.writers import WRITERS

CONSTANTS = {"full", "zeros", "ones", "arange", "scalar_tensor", "zeros_like", "ones_like", "full_like", "lift_fresh"}
"""Operations whose values are the same at every step."""


class Transcript(TorchDispatchMode):
    """Writes statements while torch runs. Tensors are told apart by their storage, so that views cost nothing.

    lines: the statements. spans: name → size of the arrays of vectors that they use, and from which to which operation
    they do. constants: tensors that were met and not announced, in the order of the arrays c0, c1, …; their values are
    taken as they are.
    Raises OptionError at an operation that it cannot write.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.lines: Lines = []
        self.spans: dict[str, Span] = {}
        self.constants: list[Tensor] = []
        self._dtype = dtype
        self._known: dict[int, tuple[str, bool]] = {}
        self._fixed: dict[tuple[Any, ...], Operand] = {}
        self._count = 0
        self._alive: list[Any] = []  # a storage that is freed would give its address to another tensor

    def announce(self, tensor: Tensor, array: str, *, lanes: bool) -> None:
        """A tensor that the generated code is given."""
        self._known[_address(tensor)] = (array, lanes)
        self._alive.append(tensor)
        if lanes:
            size = tensor.untyped_storage().nbytes() // tensor.element_size()
            self.spans[array] = Span(size, self._count, self._count)

    def operand(self, tensor: Tensor) -> Operand:
        """Where the generated code finds the tensor's entries."""
        array, lanes = self._known.get(_address(tensor), ("", False))
        if not array:
            return self._constant(tensor)
        if lanes:
            self.spans[array] = self.spans[array].until(self._count)
        return Operand(array, lanes, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._alive.append((args, out))
        name = func._schema.name.removeprefix("aten::")
        if name not in CONSTANTS and not _is_view(func, args, out):
            self._write(name, func, args, kwargs or {}, out)
        return out

    def _constant(self, tensor: Tensor) -> Operand:
        key = (_address(tensor), tensor.storage_offset(), tensor.shape, tensor.stride())
        if key not in self._fixed:
            self._check_dtype(tensor)
            values = tensor.detach().to(self._dtype).contiguous()
            name = f"c{len(self.constants)}"
            self.constants.append(values)
            self._fixed[key] = Operand(name, False, 0, tuple(values.shape), values.stride())
        return self._fixed[key]

    def _write(self, name: str, func: Any, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> None:
        if not isinstance(out, Tensor):
            raise _unknown(func)
        self._count += 1
        self._check_dtype(out)
        if func._schema.is_mutable:
            if out is not args[0] or _address(out) not in self._known or not name.endswith("_"):
                raise _unknown(func)
            name = name[:-1]
        elif _address(out) not in self._known:
            self.announce(out, f"b{self._count}", lanes=True)
        lines = self._statements(name, func, args, kwargs, out)
        if lines is None:
            raise _unknown(func)
        self.lines += lines

    def _statements(
        self, name: str, func: Any, args: Sequence[Any], kwargs: dict[str, Any], out: Tensor
    ) -> Lines | None:
        options = {key: value for key, value in kwargs.items() if key not in ("alpha", "dtype", "memory_format")}
        if name in WRITERS:
            return WRITERS[name](self, out, *args, **options)
        if options:
            return None
        if name == "pow" and not isinstance(args[1], Tensor):
            return assign(self.operand(out), power("{0}", args[1]), self._broadcast(args[:1], out))
        if name in EXPRESSIONS:
            defaults = [each.default_value for each in func._schema.arguments if not each.kwarg_only]
            return self._pointwise(EXPRESSIONS[name], [*args, *defaults[len(args) :]], kwargs.get("alpha", 1), out)
        return None

    def _pointwise(self, expression: str, args: Sequence[Any], alpha: Any, out: Tensor) -> Lines:
        tensors = [each for each in args if isinstance(each, Tensor)]
        places = iter(range(len(tensors)))
        texts = [f"{{{next(places)}}}" if isinstance(each, Tensor) else literal(each) for each in args]
        if alpha != 1:
            texts[1] = f"({literal(alpha)} * {texts[1]})"
        return assign(self.operand(out), expression.format(*texts), self._broadcast(tensors, out))

    def _broadcast(self, tensors: Sequence[Tensor], out: Tensor) -> list[Operand]:
        """Operands of the shape of out. Raises OptionError where one overlaps out otherwise than entry by entry."""
        found = [self._expanded(self.operand(each), out) for each in tensors]
        target = self.operand(out)
        if any(each.array == target.array and each != target for each in found):
            raise OptionError("the steps write into a tensor that they read in another order")
        return found

    def _expanded(self, operand: Operand, out: Tensor) -> Operand:
        missing = out.ndim - len(operand.shape)
        shape, strides = (1,) * missing + operand.shape, (0,) * missing + operand.strides
        strides = tuple(0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True))
        if out.ndim == 0 or tuple(out.shape) == operand.shape:
            return operand
        return Operand(operand.array, operand.lanes, operand.offset, tuple(out.shape), strides)

    def _check_dtype(self, tensor: Tensor) -> None:
        """Everything is computed in the run's own dtype: numbers without axes may be in double precision."""
        is_number = tensor.ndim == 0 and tensor.is_floating_point()
        if tensor.dtype not in (self._dtype, torch.bool) and not is_number:
            raise OptionError(f"the steps hold {tensor.dtype} numbers beside {self._dtype}")


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_view(func: Any, args: Sequence[Any], out: Any) -> bool:
    """Whether the result is nothing but another look at what was there."""
    if func._schema.is_mutable:
        return False
    given = {_address(each): each.dtype for each in args if isinstance(each, Tensor)}
    results = out if isinstance(out, list | tuple) else [out]
    return all(isinstance(each, Tensor) and given.get(_address(each)) == each.dtype for each in results)


def _unknown(func: Any) -> OptionError:
    return OptionError(
        f"the steps hold the operation {func}, which has no native form: set backend to 'auto' or 'eager'"
    )
