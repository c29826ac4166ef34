"""Keccak-256 of many short messages at once, in NumPy: one column of lanes per message.

Ethereum hashes with Keccak as it was submitted, not with the SHA-3 that NIST made of it; Python's hashlib has only the latter. The two
differ in one padding byte (`suffix`), so hashlib checks this permutation in the tests.
Source: G. Bertoni, J. Daemen, M. Peeters, G. Van Assche, The Keccak reference, version 3.0 (2011), sections 1.2 and 2; FIPS 202 for SHA-3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

RATE = 136  # bytes of message per permutation: 1,600 bits less twice the 256 bits of the digest
KECCAK, SHA3 = 0x01, 0x06
# Rotation of lane (x, y) at index x + 5 y: The Keccak reference, table 2.1, modulo 64.
_ROTATIONS = (0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14)
_ROUNDS = 24
# A lane is 8 bytes, 25 lanes a message and as many for the step in between: 16,384 messages stay within 7 MB of cache.
_AT_ONCE = 16_384


def digests(messages: np.ndarray, *, suffix: int = KECCAK) -> np.ndarray:
    """The 32-byte digests (uint8, n x 32) of n messages of equal length (uint8, n x length, below 136 bytes)."""
    import numpy as np

    count, length = messages.shape
    if length >= RATE:
        raise ValueError(f"messages of {length} bytes do not fit one block of {RATE}")
    result = np.empty((count, 32), dtype=np.uint8)
    for start in range(0, count, _AT_ONCE):
        part = messages[start : start + _AT_ONCE]
        block = np.zeros((len(part), RATE), dtype=np.uint8)
        block[:, :length] = part
        block[:, length] ^= suffix
        block[:, RATE - 1] ^= 0x80
        state = np.zeros((25, len(part)), dtype=np.uint64)
        state[: RATE // 8] = block.view("<u8").T
        _permute(state)
        result[start : start + _AT_ONCE] = np.ascontiguousarray(state[:4].T).astype("<u8").view(np.uint8)
    return result


def _permute(state: np.ndarray) -> None:
    """Keccak-f[1600] in place on 25 lanes x n."""
    import numpy as np

    def rotated(lanes: np.ndarray, by: int) -> np.ndarray:
        return lanes if by == 0 else (lanes << np.uint64(by)) | (lanes >> np.uint64(64 - by))

    for constant in _round_constants():
        parity = state[0:5] ^ state[5:10] ^ state[10:15] ^ state[15:20] ^ state[20:25]
        mixed = np.roll(parity, 1, axis=0) ^ rotated(np.roll(parity, -1, axis=0), 1)
        moved = np.empty_like(state)
        for x in range(5):
            for y in range(5):
                moved[y + 5 * ((2 * x + 3 * y) % 5)] = rotated(state[x + 5 * y] ^ mixed[x], _ROTATIONS[x + 5 * y])
        for row in range(0, 25, 5):
            lanes = moved[row : row + 5]
            state[row : row + 5] = lanes ^ (~np.roll(lanes, -1, axis=0) & np.roll(lanes, -2, axis=0))
        state[0] ^= np.uint64(constant)


def _round_constants() -> tuple[int, ...]:
    """The 24 constants, from the linear feedback shift register x^8 + x^6 + x^5 + x^4 + 1 that defines them."""
    if not _CONSTANTS:
        register = 1
        for _ in range(_ROUNDS):
            constant = 0
            for power in range(7):
                if register & 1:
                    constant |= 1 << (2**power - 1)
                register = (register << 1) ^ (0x171 if register & 0x80 else 0)
            _CONSTANTS.append(constant)
    return tuple(_CONSTANTS)


_CONSTANTS: list[int] = []
