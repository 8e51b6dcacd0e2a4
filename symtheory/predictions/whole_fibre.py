"""Whether an orbit is all of the fibre: what else may give the same predictor with a smaller norm."""

from __future__ import annotations

from symtheory.errors import CalculusError
from symtheory.matrix_calculus.polynomial import Letter, Polynomial, Word
from symtheory.predictions.orbit_minimum import OrbitMinimum
from symtheory.predictions.orbit_quantity import Chain
from symtheory.predictions.subject import Subject

WHOLE = "the predictor determines the product, so that the minimum is over its whole fibre as well as over the orbit"
ORBIT = (
    "the minimum is over the orbit of this group: other points of the fibre, such as those with units merged, may lie "
    "lower"
)


def reach(subject: Subject, minimum: OrbitMinimum) -> str:
    """The sentence that says over what the minimum is."""
    return WHOLE if is_whole_fibre(subject, minimum) else ORBIT


def is_whole_fibre(subject: Subject, minimum: OrbitMinimum) -> bool:
    """Whether the predictor is a constant plus A W B, W the one product that R depends on, A and B made of inputs.

    All points with one product lie in one orbit or have it in their closure, where the norm is the same or larger.
    """
    if len(minimum.quantities) != 1 or not isinstance(minimum.quantities[0], Chain):
        return False
    word = minimum.quantities[0].word
    try:
        predictor = subject.matrices.as_polynomial(subject.graph.predictor)
    except CalculusError:
        return False
    names = set(subject.graph.parameters)
    found = [_parameters_of(own, names) for own, _ in predictor if _parameters_of(own, names)]
    return word is not None and len(found) == 1 and _is_product(found[0], word)


def _parameters_of(word: Word, names: set[str]) -> Word:
    """From the first to the last parameter of a word."""
    places = [place for place, f in enumerate(word) if isinstance(f, Letter) and f.symbol.name in names]
    return word[places[0] : places[-1] + 1] if places else ()


def _is_product(word: Word, product: Polynomial) -> bool:
    shape = (word[0].shape[0], word[-1].shape[1])
    own = Polynomial({word: next(iter(product.terms.values()))}, shape)
    return own in (product, product.T)
