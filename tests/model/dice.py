"""The layout of the dice: which 64-bit uniform belongs to which (seed, rule, impairment, purpose;
identity, index), and how a probability becomes a whole-number threshold. No fault's law is here."""

from fractions import Fraction

import numpy as np

from .philox import MASK32, philox, philox_block

MASK64 = (1 << 64) - 1
MASK62 = (1 << 62) - 1

FATE = 0
TRANSITION = 1


def hash_name(name):
    """FNV-1a, 64 bit (draft-eastlake-fnv) of a text's bytes."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK64
    return value


def probability(text):
    """"1%", "0.5" or a number as an exact fraction."""
    if isinstance(text, str) and text.endswith("%"):
        return Fraction(text[:-1]) / 100
    return Fraction(text)


def threshold(text):
    """floor(p * 2^64) for a probability p: a uniform u hits iff u < threshold. 2^64 for p = 1."""
    return int(probability(text) * (1 << 64))


def below(uniforms, limit):
    """uniforms < limit for a uint64 array and a limit of 0 ... 2^64."""
    if limit > MASK64:
        return np.ones(uniforms.shape, dtype=bool)
    return uniforms < np.uint64(limit)


def halves(value):
    """The lower and the upper 32 bits."""
    return value & MASK32, (value >> 32) & MASK32


class Dice:
    """The dice of one (seed, rule name, impairment's place in the rule from 0, purpose)."""

    def __init__(self, seed, rule, impairment, purpose):
        block = philox_block(halves(seed), (*halves(hash_name(rule)), impairment, purpose))
        self.key = block[:2]

    def _blocks(self, identity, positions, word):
        """Four arrays of 32-bit words; positions: uint64 array of index / 4, below 2^62."""
        counter = (positions & np.uint64(MASK32),
                   (positions >> np.uint64(32)) | np.uint64(word << 30),
                   *identity)
        return philox(self.key, counter)

    def uniforms(self, identities, indices):
        """u of each (identity, index): arrays of equal length, or one of them an int."""
        identities = np.atleast_1d(np.asarray(identities, dtype=np.uint64))
        indices = np.atleast_1d(np.asarray(indices, dtype=np.uint64))
        identities, indices = np.broadcast_arrays(identities, indices)
        parts = (identities & np.uint64(MASK32), identities >> np.uint64(32))
        lanes = (indices & np.uint64(3)).astype(np.intp)
        upper, lower = (np.choose(lanes, self._blocks(parts, indices >> np.uint64(2), word))
                        for word in (0, 1))
        return (upper << np.uint64(32)) | lower

    def run(self, identity, first, count):
        """u of `count` consecutive indices from `first` (which may be negative: indices wrap
        modulo 2^64) of one identity. The same numbers as uniforms(), at a quarter of the work."""
        aligned = first - first % 4
        blocks = (first + count - aligned + 3) // 4
        start = np.uint64((aligned >> 2) & MASK62)
        positions = (start + np.arange(blocks, dtype=np.uint64)) & np.uint64(MASK62)
        upper, lower = (np.stack(self._blocks(halves(identity), positions, word), axis=1).ravel()
                        for word in (0, 1))
        numbers = (upper << np.uint64(32)) | lower
        return numbers[first - aligned:first - aligned + count]
