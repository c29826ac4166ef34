"""Which kind of address a text is, judged by its own checksum: EVM, Base58Check, Bech32, CashAddr, XRP, Monero, Solana.

Nothing here knows chains. An address has a *format* ("evm", "base58check_0", "bech32_bc", "solana" …); which formats a chain uses is a
table (seed wallet_chains), because many chains share one: 1A1z… is as good on Bitcoin Cash as on Bitcoin, 0x… on every EVM chain.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

BITCOIN_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
RIPPLE_ALPHABET = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
BECH32_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
# Human-readable parts whose data is a witness version and program (BIP173, SLIP-0173); for these, and only these, BIP350's rules hold.
SEGWIT_PARTS = frozenset({"bc", "tb", "bcrt", "ltc", "tltc", "rltc", "btg", "tbtg", "dgb", "vtc", "mona"})
# Bech32 promises to find errors up to 90 characters; these chains use it for longer texts all the same (CIP-19, ZIP-316).
LONG_PARTS = frozenset({"addr", "addr_test", "stake", "stake_test", "u", "utest"})
_BECH32_LENGTH = 90
_BECH32, _BECH32M = 1, 0x2BC830A3
_BECH32_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CASHADDR_GENERATORS = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)
_CASHADDR_PREFIXES = {"bitcoincash": "cashaddr", "bchtest": "cashaddr_test", "bchreg": "cashaddr_test"}
# Monero's network bytes (monero/src/cryptonote_config.h): standard, integrated, subaddress.
_MONERO_FORMATS = {18: "monero", 19: "monero", 42: "monero"} | dict.fromkeys((53, 54, 63, 24, 25, 36), "monero_test")
_XRP_X_FORMATS = {b"\x05\x44": "xrp_x", b"\x04\x93": "xrp_x_test"}


class Judgement(NamedTuple):
    """What a text is as an address: `reason` is null when it is one."""

    address_format: str | None
    reason: str | None


NOT_AN_ADDRESS = Judgement(None, "not_an_address")


def judge(texts: list[str]) -> list[Judgement]:
    """One judgement per text, in the same order. Texts come without blanks around them.

    reason: `checksum` (an address with a typing error), `length` or `not_hex` (0x… of no known length, with other characters),
    `not_an_address` (no format here fits; a chain that this module does not know may still use it).
    """
    evm = [place for place, text in enumerate(texts) if _is_evm_shaped(text)]
    judged = [Judgement("evm", None) if _is_evm_shaped(text) else _judge_one(text) for text in texts]
    for place, is_right in zip(evm, evm_checksums([texts[place] for place in evm]), strict=True):
        if not is_right:
            judged[place] = Judgement("evm", "checksum")
    return judged


def evm_checksums(addresses: list[str]) -> list[bool]:
    """Whether the case of each 0x address of 40 hex digits is the one its checksum asks for; one case throughout claims none.

    Source: V. Buterin, A. Van de Sande, ERC-55 (2016): a letter is upper case when that digit of keccak256(lower case text) is 8 or more.
    """
    import numpy as np

    from candor.standardise import keccak

    if not addresses:
        return []
    typed = np.frombuffer("".join(address[2:] for address in addresses).encode("ascii"), dtype=np.uint8).reshape(-1, 40)
    is_letter, is_upper = typed > ord("9"), (typed >= ord("A")) & (typed <= ord("F"))
    digest = keccak.digests(np.where(is_upper, typed + 32, typed).astype(np.uint8))[:, :20]
    digits = np.stack([digest >> 4, digest & 15], axis=2).reshape(-1, 40)
    is_one_case = (is_upper == is_letter).all(axis=1) | ~is_upper.any(axis=1)
    right: list[bool] = (is_one_case | ((is_upper == (digits >= 8)) | ~is_letter).all(axis=1)).tolist()
    return right


def _is_evm_shaped(text: str) -> bool:
    return len(text) == 42 and text[:2] in ("0x", "0X") and _is_hex(text[2:])


def _is_hex(text: str) -> bool:
    return bool(text) and all(character in "0123456789abcdefABCDEF" for character in text)


def _judge_one(text: str) -> Judgement:
    if text[:2] in ("0x", "0X"):
        if not _is_hex(text[2:]):
            return Judgement(None, "not_hex")
        # Move and Cairo chains: 32 bytes, written whole.
        return Judgement("hex_32", None) if len(text) == 66 else Judgement(None, "length")
    return _bech32(text) or _cashaddr(text) or _xrp(text) or _base58(text) or NOT_AN_ADDRESS


# --- Bech32 ------------------------------------------------------------------------------------------------------------


def _bech32(text: str) -> Judgement | None:
    """A judgement when the text is Bech32 or means to be; else None. Sources: BIP173 (P. Wuille, G. Maxwell 2017), BIP350 (P. Wuille 2020)."""
    lowered = text.lower()
    if text not in (lowered, text.upper()) or not lowered.isascii():
        return None
    part, one, data = lowered.rpartition("1")
    if not one or not part or len(data) < 6 or any(character not in BECH32_ALPHABET for character in data):
        return None
    values = [BECH32_ALPHABET.index(character) for character in data]
    expanded = [ord(character) >> 5 for character in part] + [0] + [ord(character) & 31 for character in part]
    constant = _polymod(expanded + values, _BECH32_GENERATORS, 30, 1)
    too_long = len(text) > _BECH32_LENGTH and part not in LONG_PARTS
    if part in SEGWIT_PARTS:
        return Judgement(f"bech32_{part}", None if not too_long and _is_witness(values[:-6], constant) else "checksum")
    # Any other first part could be the beginning of a text in another encoding, so a wrong sum says nothing.
    if constant not in (_BECH32, _BECH32M) or too_long or len(values) == 6:
        return None
    return Judgement(f"bech32_{part}", None)


def _is_witness(values: list[int], constant: int) -> bool:
    """Version 0 to 16 and a program of 2 to 40 bytes; version 0 with 20 or 32 bytes and the first constant, later ones with the second."""
    if not values or values[0] > 16:
        return False
    program = _regroup(values[1:])
    if program is None or not 2 <= len(program) <= 40:
        return False
    if values[0] == 0:
        return constant == _BECH32 and len(program) in (20, 32)
    return constant == _BECH32M


def _regroup(values: list[int]) -> bytes | None:
    """Groups of 5 bits as bytes; None when what is left over is not fewer than 5 zero bits."""
    number, bits = 0, 5 * len(values)
    for value in values:
        number = number << 5 | value
    rest = bits % 8
    if rest >= 5 or number & ((1 << rest) - 1):
        return None
    return (number >> rest).to_bytes(bits // 8, "big")


def _polymod(values: list[int], generators: tuple[int, ...], width: int, check: int) -> int:
    """The remainder of a BCH code over 5-bit values, `width` bits long."""
    mask = (1 << (width - 5)) - 1
    for value in values:
        top = check >> (width - 5)
        check = (check & mask) << 5 ^ value
        for place, generator in enumerate(generators):
            if top >> place & 1:
                check ^= generator
    return check


def _cashaddr(text: str) -> Judgement | None:
    """Source: Bitcoin Cash specification, Address format (A. Séchet, 2017). The prefix may be left out; it is part of the checksum."""
    lowered = text.lower()
    if text not in (lowered, text.upper()):
        return None
    given, colon, data = lowered.rpartition(":")
    # 1 byte of kind, 20 bytes of hash, 5 of checksum; longer hashes exist on paper only.
    if len(data) != 42 or data[0] not in "qpzr" or any(character not in BECH32_ALPHABET for character in data):
        return None
    if colon and given not in _CASHADDR_PREFIXES:
        return None
    values = [BECH32_ALPHABET.index(character) for character in data]
    for prefix in (given,) if colon else _CASHADDR_PREFIXES:
        expanded = [ord(character) & 31 for character in prefix] + [0]
        if _polymod(expanded + values, _CASHADDR_GENERATORS, 40, 1) == 1:
            return Judgement(_CASHADDR_PREFIXES[prefix], None)
    return Judgement("cashaddr", "checksum")


# --- Base58 ------------------------------------------------------------------------------------------------------------


def decoded_base58(text: str, alphabet: str = BITCOIN_ALPHABET) -> bytes | None:
    """The bytes that a Base58 text stands for, leading zeros included; None when a character is not of the alphabet."""
    number = 0
    for character in text:
        digit = alphabet.find(character)
        if digit < 0:
            return None
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _has_checksum(raw: bytes) -> bool:
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def _xrp(text: str) -> Judgement | None:
    """Sources: XRPL documentation, Base58 encodings; XLS-5d (N. Bougalis, 2019) for X-addresses."""
    if 25 <= len(text) <= 35 and text[0] == "r":
        raw = decoded_base58(text, RIPPLE_ALPHABET)
        # r is the digit zero, so the version is 0. With a wrong checksum it may yet be Solana, whose texts can begin with r.
        return Judgement("xrp", None) if raw is not None and len(raw) == 25 and _has_checksum(raw) else None
    if len(text) == 47 and text[0] in "XT":
        raw = decoded_base58(text, RIPPLE_ALPHABET)
        if raw is not None and len(raw) == 35 and raw[:2] in _XRP_X_FORMATS:
            return Judgement(_XRP_X_FORMATS[raw[:2]], None if _has_checksum(raw) else "checksum")
    return None


def _base58(text: str) -> Judgement | None:
    if len(text) in (95, 106):
        return _monero(text)
    if not 25 <= len(text) <= 44:
        return None
    raw = decoded_base58(text)
    if raw is None:
        return None
    if len(raw) in (25, 26):  # 20 bytes of hash behind a version of one byte (Bitcoin) or two (Zcash), then the checksum
        if _has_checksum(raw):
            return Judgement(f"base58check_{int.from_bytes(raw[:-24], 'big')}", None)
        # Text that begins with r has the length of an XRP address and failed its checksum as well.
        return Judgement(None, "checksum")
    # An ed25519 public key or an address derived from one. Solana has no checksum: a typing error shows only when it changes the length.
    return Judgement("solana", None) if len(raw) == 32 else None


_MONERO_BLOCK_SIZES = {0: 0, 2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}  # characters of a block: its bytes


def _monero(text: str) -> Judgement | None:
    """Source: Monero, base58.cpp: blocks of 11 characters for 8 bytes, the last one shorter; 4 bytes of Keccak-256 as checksum."""
    import numpy as np

    from candor.standardise import keccak

    raw = b""
    for start in range(0, len(text), 11):
        block = text[start : start + 11]
        number = 0
        for character in block:
            digit = BITCOIN_ALPHABET.find(character)
            if digit < 0:
                return None
            number = number * 58 + digit
        size = _MONERO_BLOCK_SIZES.get(len(block), 0)
        if number >> 8 * size:
            return Judgement(None, "checksum")
        raw += number.to_bytes(size, "big")
    if raw[0] not in _MONERO_FORMATS:
        return Judgement(None, "checksum")
    digest = keccak.digests(np.frombuffer(raw[:-4], dtype=np.uint8).reshape(1, -1))[0, :4].tobytes()
    return Judgement(_MONERO_FORMATS[raw[0]], None if digest == raw[-4:] else "checksum")
