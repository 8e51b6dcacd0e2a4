"""Steps as one C++ function made from the operations that torch runs in a step of one replica.

A step is run once, for one replica, and each operation is written down as a loop over its entries; an entry of the
generated code is a vector that holds it for as many replicas as the processor has lanes. So parameters stay in the
cache over many steps, nothing is dispatched, and what a replica computes does not depend on the other replicas.
"""

from numeric.training.native.block import NativeBlock, native_block

__all__ = ["NativeBlock", "native_block"]
