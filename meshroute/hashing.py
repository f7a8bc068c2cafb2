"""The two hash functions that place requests and hosts: XXH64 and MurmurHash2-64A.

Source    spec/hash.md HASH-1 and HASH-2; envoyproxy/envoy: source/common/common/{hash.h,murmur_hash.cc}
Inputs    bytes, and a seed of 64 bits (XXH64 only). Exactness: unsigned 64-bit, wrapping, little-endian reads.
Errors    none.
"""

from __future__ import annotations

from xxhash import xxh64_intdigest

MASK64 = 0xFFFF_FFFF_FFFF_FFFF
_MURMUR_SEED = 0xC70F6907
"""The seed of GNU libstdc++'s std::hash, which Envoy keeps for rings that must agree with older ones."""
_MURMUR_MULTIPLIER = 0xC6A4A7935BD1E995


def xxhash64(data: bytes, seed: int = 0) -> int:
    """XXH64 of the bytes, as an unsigned 64-bit integer."""
    return xxh64_intdigest(data, seed)


def murmur64(data: bytes) -> int:
    """MurmurHash2-64A in the variant of GNU libstdc++, as an unsigned 64-bit integer."""

    def mix(value: int) -> int:
        return value ^ (value >> 47)

    length = len(data)
    value = _MURMUR_SEED ^ (length * _MURMUR_MULTIPLIER & MASK64)
    whole = length - length % 8
    for at in range(0, whole, 8):
        block = int.from_bytes(data[at : at + 8], "little")
        block = mix(block * _MURMUR_MULTIPLIER & MASK64) * _MURMUR_MULTIPLIER & MASK64
        value = (value ^ block) * _MURMUR_MULTIPLIER & MASK64
    if whole < length:
        value = (value ^ int.from_bytes(data[whole:], "little")) * _MURMUR_MULTIPLIER & MASK64
    return mix(mix(value) * _MURMUR_MULTIPLIER & MASK64)


def rotate_left(value: int, bits: int) -> int:
    """Rotate an unsigned 64-bit integer to the left by 0 < bits < 64."""
    return (value << bits | value >> (64 - bits)) & MASK64
