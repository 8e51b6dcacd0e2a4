"""Seeds of the noise streams: a pure function of (seed, purpose, replica, block)."""

from __future__ import annotations

import hashlib
from functools import cache

_WORD = 0xFFFFFFFF


def stream_seed(seed: int, purpose: str, replica: int, block: int) -> int:
    """A 63-bit seed for block `block` of replica `replica`'s stream for `purpose`.

    torch's CPU generator keeps only the low 32 bits of a seed, and random 32-bit numbers collide after some
    65,000 draws. So (replica, block) is numbered without repetition (Cantor's pairing) and scrambled by a
    bijection: within one (seed, purpose) no two blocks share their low word while replica + block < 92,681.
    """
    key = _key(seed, purpose)
    diagonal = replica + block
    pair = diagonal * (diagonal + 1) // 2 + block
    return (key >> 33) << 32 | _scramble((pair ^ key) & _WORD)


@cache
def _key(seed: int, purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "little")


def _scramble(word: int) -> int:
    """A bijection of 32-bit words; one flipped bit flips about half of them (xor-shifts and odd factors)."""
    word = (word ^ (word >> 16)) * 0x85EBCA6B & _WORD
    word = (word ^ (word >> 13)) * 0xC2B2AE35 & _WORD
    return word ^ (word >> 16)
