"""The certificate: is the group that the graph rules found all there is?"""

from symtheory.symmetry.certificate.certificate import Certificate
from symtheory.symmetry.certificate.certify import certify
from symtheory.symmetry.certificate.size_limit import bound_for_certificate, fitting_sizes

__all__ = ["Certificate", "bound_for_certificate", "certify", "fitting_sizes"]
