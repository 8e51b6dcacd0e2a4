"""The certificate: is the group that the graph rules found all there is?"""

from symtheory.symmetry.certificate.certificate import Certificate
from symtheory.symmetry.certificate.certify import certify
from symtheory.symmetry.certificate.commutator import Commutator, commutator
from symtheory.symmetry.certificate.size_limit import bound_for_certificate, fitting_sizes

__all__ = ["Certificate", "Commutator", "bound_for_certificate", "certify", "commutator", "fitting_sizes"]
