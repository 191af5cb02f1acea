"""Philox4x32-10 over numpy arrays: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel
random numbers: as easy as 1, 2, 3", SC 2011. Knows nothing of seeds, rules or packets."""

import numpy as np

MASK32 = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

# counter, key, block: the rows "philox4x32 10" of Random123's kat_vectors.
KNOWN_ANSWERS = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((MASK32,) * 4, (MASK32,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
)


def philox(key, counter):
    """The blocks of four 32-bit words for many counters under one key.

    key: two ints below 2^32. counter: four arrays (or ints) of values below 2^32, broadcast against
    each other. Returns four uint64 arrays of values below 2^32."""
    mask = np.uint64(MASK32)
    shift = np.uint64(32)
    words = np.broadcast_arrays(*(np.asarray(word, dtype=np.uint64) for word in counter))
    c0, c1, c2, c3 = words
    k0, k1 = (int(word) for word in key)
    for _ in range(ROUNDS):
        product0 = c0 * np.uint64(MULTIPLIERS[0])
        product1 = c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = ((product1 >> shift) ^ c1 ^ np.uint64(k0), product1 & mask,
                          (product0 >> shift) ^ c3 ^ np.uint64(k1), product0 & mask)
        k0 = (k0 + WEYL[0]) & MASK32
        k1 = (k1 + WEYL[1]) & MASK32
    return c0, c1, c2, c3


def philox_block(key, counter):
    """One block as a tuple of four ints."""
    return tuple(int(word) for word in philox(key, counter))
