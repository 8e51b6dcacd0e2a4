"""What training needs from a generated module: its predictor and the declared shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from numeric.errors import OptionError
from numeric.training.shapes import Shape

Point = dict[str, Tensor]
ValueAndPullback = Callable[..., tuple[Tensor, Callable[[Tensor], Point]]]


@dataclass(frozen=True)
class Model:
    """A predictor φ(θ; x) with the shapes it was declared with.

    parameters, inputs and constants map names to shapes whose entries are integers or, where a size is
    unbound, its name. value_and_pullback: φ and its differential transposed, as generated modules have it, None
    where the module has not. fixed: values (*shape) of the constants, the same for all replicas and samples; without
    them (see `fix_constants`) a model that declares constants cannot predict.
    """

    module: Any
    name: str
    parameters: Mapping[str, Shape]
    inputs: Mapping[str, Shape]
    constants: Mapping[str, Shape]
    declaration_hash: str | None
    predictor: Callable[..., Tensor]
    value_and_pullback: ValueAndPullback | None = None
    fixed: Mapping[str, Tensor] = field(default_factory=dict)

    def predict(self, point: Point, batch: Mapping[str, Tensor]) -> Tensor:
        """φ at every replica: (R, *out) without inputs; (R, B, *out) with inputs of shape (R, B, *shape)."""
        if not self.inputs:
            return self.predictor(point, **self.fixed)
        inputs = {name: batch[name] for name in self.inputs}
        return self.predictor({name: leaf.unsqueeze(1) for name, leaf in point.items()}, **inputs, **self.fixed)


def as_model(M: Any) -> Model:
    """Read a namespace with predictor, PARAMETERS, INPUTS and, where there are any, CONSTANTS; or an object
    whose .load() gives one.

    Raises OptionError if neither is given or a constant is missing.
    """
    module = M if hasattr(M, "predictor") or not hasattr(M, "load") else M.load()
    missing = [name for name in ("predictor", "PARAMETERS", "INPUTS") if not hasattr(module, name)]
    if missing:
        raise OptionError(f"{type(M).__name__} cannot be trained, it lacks {', '.join(missing)}: pass st.generate(P)")
    return Model(
        module=module,
        name=getattr(module, "NAME", "unnamed"),
        parameters=dict(module.PARAMETERS),
        inputs=dict(module.INPUTS),
        constants=dict(getattr(module, "CONSTANTS", {})),
        declaration_hash=getattr(module, "DECLARATION_HASH", None),
        predictor=module.predictor,
        value_and_pullback=getattr(module, "value_and_pullback", None),
    )
