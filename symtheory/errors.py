"""Errors a user can meet in the symbolic layer; every message names the thing and the remedy in one line."""

from __future__ import annotations


class SymtheoryError(Exception):
    """Base of every error that symtheory raises on purpose."""


class ShapeError(SymtheoryError):
    """Shapes of two nodes do not fit together, or a size is not a positive integer."""


class DeclarationError(SymtheoryError):
    """The declared graph is no parametrization: a cycle, an unused parameter, a name used twice, a bad file."""


class CalculusError(SymtheoryError):
    """The question has no answer in the calculus (elementwise, matrix, components) that was asked for."""


class MetricError(SymtheoryError):
    """A metric cannot be used as asked: unknown name, singular, or not invariant where a quotient needs it."""


class SingularMetricError(MetricError):
    """A metric is singular at every point of the sizes given."""


class DomainError(SymtheoryError):
    """A point lies outside the domain of a metric or of a formula."""


class DerivationError(SymtheoryError):
    """A prediction does not apply to the declared graph, or SymPy found no closed form."""


class CodegenError(SymtheoryError):
    """An expression or an argument has no torch source: a function without torch meaning, an unbound symbol."""


class SymmetryError(SymtheoryError):
    """A declared symmetry moves the predictor; the message holds the point where it does."""


class CertificateError(SymtheoryError):
    """A certificate cannot be computed: the instance is too large, or a rank cannot be told from rounding."""


class OutputError(SymtheoryError):
    """A folder or file that was named for results cannot be written."""
