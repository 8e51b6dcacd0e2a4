"""The certificate: is the group that the graph rules found all there is?"""

from symtheory.symmetry.certificate.certificate import Certificate
from symtheory.symmetry.certificate.certify import certify

__all__ = ["Certificate", "certify"]
