"""Wallet addresses by the thousand: EVM with its checksum, right or wrong, Bitcoin's Bech32, Solana's Base58."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from candor.standardise import keccak
from simulation import rates
from simulation.tools import generator

_BECH32 = np.frombuffer(b"qpzry9x8gf2tvdw0s3jn54khce6mua7l", dtype=np.uint8)
_BASE58 = np.frombuffer(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", dtype=np.uint8)
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def typed(address: pl.Series, wallet: pl.Series, part: int, seed: int) -> pl.Series:
    """The addresses, a few with the capitals of their checksum, fewer with wrong ones; drawn apart, so that all else stays."""
    draw = generator(seed, "wallet_checksums", part).random(len(address))
    wrong = draw < rates.WRONG_CHECKSUM_SHARE
    chosen = np.flatnonzero(draw < rates.WRONG_CHECKSUM_SHARE + rates.CHECKSUM_WALLET_SHARE)
    return address.scatter(chosen, checksummed(wallet.gather(chosen), wrong[chosen])) if len(chosen) else address


def other_wallets(links: pl.DataFrame, part: int, seed: int) -> list[pl.DataFrame]:
    """Second wallets of a few who link one: on Bitcoin and on Solana, where no address of theirs has its letters in common."""
    frames = []
    for chain, made in (("bitcoin", bech32), ("solana", solana)):
        rng = generator(seed, "other_wallets", chain, part)
        chosen = np.flatnonzero(rng.random(len(links)) < rates.OTHER_WALLET_SHARE)
        frames.append(
            links[chosen].with_columns(
                link_id=pl.concat_str("link_id", pl.lit(f"-{chain}")),
                wallet_address=made(rng, len(chosen)),
                chain=pl.lit(chain),
                unlinked_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
            )
        )
    return frames


def checksummed(addresses: pl.Series, spoilt: np.ndarray) -> pl.Series:
    """The 0x addresses (lower case) in the case that ERC-55 asks for; where `spoilt`, the first letter is in the other case."""
    if len(addresses) == 0:
        return addresses
    lower = np.frombuffer("".join(addresses.str.slice(2).to_list()).encode(), dtype=np.uint8).reshape(-1, 40).copy()
    digest = keccak.digests(lower)[:, :20]
    digits = np.stack([digest >> 4, digest & 15], axis=2).reshape(-1, 40)
    is_letter = lower > ord("9")
    is_upper = is_letter & (digits >= 8)
    first = is_letter.argmax(axis=1)
    rows = np.flatnonzero(spoilt & is_letter.any(axis=1))
    is_upper[rows, first[rows]] ^= True
    return "0x" + _texts(np.where(is_upper, lower - 32, lower).astype(np.uint8))


def bech32(rng: np.random.Generator, count: int) -> pl.Series:
    """Addresses of random public keys on Bitcoin (BIP173: version 0, 20 bytes)."""
    values = np.concatenate([np.zeros((count, 1), dtype=np.int64), rng.integers(0, 32, (count, 32))], axis=1)
    check = np.ones(count, dtype=np.int64)
    part = [ord(letter) >> 5 for letter in "bc"] + [0] + [ord(letter) & 31 for letter in "bc"]
    columns = [np.full(count, value, dtype=np.int64) for value in part] + list(values.T) + [np.zeros(count, dtype=np.int64)] * 6
    for column in columns:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ column
        for place, polynomial in enumerate(_GENERATORS):
            check ^= np.where(top >> place & 1, polynomial, 0)
    check ^= 1
    sums = np.stack([check >> 5 * (5 - place) & 31 for place in range(6)], axis=1)
    return "bc1" + _texts(_BECH32[np.concatenate([values, sums], axis=1)])


def solana(rng: np.random.Generator, count: int) -> pl.Series:
    """43 digits to the base 58 whose first is 4 to 57: always a number of exactly 32 bytes (4 x 58^42 > 2^248, 58^43 < 2^256)."""
    digits = rng.integers(0, 58, (count, 43))
    digits[:, 0] = rng.integers(4, 58, count)
    return _texts(_BASE58[digits])


def _texts(letters: np.ndarray) -> pl.Series:
    """One text per row of ASCII codes."""
    count, length = letters.shape
    offsets = pa.py_buffer(np.arange(count + 1, dtype=np.int64) * length)
    array = pa.LargeStringArray.from_buffers(count, offsets, pa.py_buffer(np.ascontiguousarray(letters).tobytes()))
    return pl.Series(pl.from_arrow(array))
