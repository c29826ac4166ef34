"""Keccak against Python's own SHA-3, from which it differs by one padding byte."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from candor.standardise import keccak


@pytest.mark.parametrize("length", [0, 1, 7, 8, 40, 65, 134, 135])
def test_the_permutation_is_the_one_of_hashlib(length):
    messages = np.random.default_rng(length).integers(0, 256, (5, length)).astype(np.uint8)

    found = keccak.digests(messages, suffix=keccak.SHA3)

    assert [row.tobytes() for row in found] == [hashlib.sha3_256(row.tobytes()).digest() for row in messages]


def test_with_its_own_padding_it_is_ethereums_hash_of_nothing():
    # The hash of an empty account's code, as the Yellow Paper (G. Wood) gives it.
    nothing = keccak.digests(np.zeros((1, 0), dtype=np.uint8))
    assert nothing.tobytes().hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_messages_of_several_parts_keep_their_order(monkeypatch):
    messages = np.random.default_rng(3).integers(0, 256, (7, 40)).astype(np.uint8)
    whole = keccak.digests(messages)
    monkeypatch.setattr(keccak, "_AT_ONCE", 3)
    assert (keccak.digests(messages) == whole).all()


def test_a_message_longer_than_a_block_is_refused():
    with pytest.raises(ValueError, match="136 bytes do not fit"):
        keccak.digests(np.zeros((1, 136), dtype=np.uint8))
