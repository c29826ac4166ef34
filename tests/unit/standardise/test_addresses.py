"""Addresses against the test vectors of the standards that define them, and against typing errors."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from candor.standardise.addresses import BECH32_ALPHABET, BITCOIN_ALPHABET, decoded_base58, judge

DATA = Path(os.environ.get("CANDOR_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))

# ERC-55, section "Test Cases".
EIP55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]
# BIP350, "Test vectors for v0-v16 native segregated witness addresses" (they replace BIP173's).
SEGWIT = [
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
    "BC1SW50QGDZ25J",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
    "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
    "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
]
SEGWIT_WRONG = [
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",  # Bech32 instead of Bech32m
    "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",  # Bech32m instead of Bech32
    "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",  # a character that is none
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",  # no such version
    "bc1pw5dgrnzv",  # program of 1 byte
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",  # 41 bytes
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",  # version 0 with neither 20 nor 32 bytes
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",  # mixed case
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",  # more than 4 bits left over
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j",  # bits left over are not zero
    "bc1gmk9yu",  # no data
]
# BIP173 and BIP350, valid checksums that are no segwit address: other first parts, among them one of 83 characters.
OTHER_PARTS = [
    "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
    "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
]
# CashAddr specification, "Test vectors", each with the legacy address of the same hash.
CASHADDR = [
    ("1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu", "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a"),
    ("1KXrWXciRDZUpQwQmuM1DbwsKDLYAYsVLR", "bitcoincash:qr95sy3j9xwd2ap32xkykttr4cvcu7as4y0qverfuy"),
    ("16w1D5WRVKJuZUsSRzdLp9w3YGcgoxDXb", "bitcoincash:qqq3728yw0y47sqn6l2na30mcw6zm78dzqre909m2r"),
    ("3CWFddi6m4ndiGyKqzYvsFYagqDLPVMTzC", "bitcoincash:ppm2qsznhks23z7629mms6s4cwef74vcwvn0h829pq"),
]
KNOWN = [
    pytest.param("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "base58check_0", id="bitcoins_first_block"),
    pytest.param("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "base58check_5", id="bitcoin_script_hash"),
    pytest.param("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "base58check_111", id="bitcoin_testnet"),
    pytest.param("LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1", "base58check_48", id="litecoin"),
    pytest.param("DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L", "base58check_30", id="dogecoin"),
    pytest.param("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "base58check_65", id="tethers_contract_on_tron"),
    pytest.param("rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "xrp", id="the_ledgers_first_account"),
    pytest.param("rrrrrrrrrrrrrrrrrrrrrhoLvTp", "xrp", id="account_zero"),
    pytest.param("XV5sbjUmgPpvXv4ixFWZ5ptAYZ6PD2m4Er6SnvjVLpMWPjR", "xrp_x", id="xrp_x_address"),
    pytest.param("TVE26TYGhfLC7tQDno7G8dGtxSkYQn49b3qD26PK7FcGSKE", "xrp_x_test", id="xrp_x_address_of_a_testnet"),
    pytest.param("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "solana", id="solanas_token_program"),
    pytest.param("11111111111111111111111111111111", "solana", id="solanas_system_program"),
    pytest.param("addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl8", "bech32_addr", id="cardano"),
    pytest.param(
        "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A",
        "monero",
        id="moneros_donation_address",
    ),
    pytest.param("0x" + "1" * 64, "hex_32", id="a_move_chain"),
]


@pytest.mark.parametrize("address", EIP55)
def test_evm_examples_of_the_standard_pass_as_do_both_single_cases(address):
    lower, upper = address.lower(), "0x" + address[2:].upper()
    assert judge([address, lower, upper, "0X" + address[2:].lower()]) == [("evm", None)] * 4


@pytest.mark.parametrize("address", EIP55[4:])
def test_one_letter_in_the_other_case_breaks_an_evm_checksum(address):
    letters = [place for place in range(2, 42) if address[place].isalpha()]
    wrong = [address[:place] + address[place].swapcase() + address[place + 1 :] for place in letters]
    assert set(judge(wrong)) == {("evm", "checksum")}


@pytest.mark.parametrize("address", SEGWIT)
def test_segwit_addresses_of_the_standard_are_right(address):
    assert judge([address]) == [(f"bech32_{address.lower().rpartition('1')[0]}", None)]


@pytest.mark.parametrize("address", SEGWIT_WRONG)
def test_segwit_addresses_that_the_standard_refuses_are_wrong(address):
    assert judge([address])[0].reason is not None


@pytest.mark.parametrize("address", OTHER_PARTS)
def test_bech32_of_a_chain_nobody_listed_is_named_by_its_first_part(address):
    assert judge([address, address.upper()]) == [(f"bech32_{address.rpartition('1')[0]}", None)] * 2


@pytest.mark.parametrize(("legacy", "address"), CASHADDR)
def test_cash_addresses_of_the_standard_are_right_with_and_without_their_prefix(legacy, address):
    bare = address.partition(":")[2]
    assert judge([address, bare, bare.upper()]) == [("cashaddr", None)] * 3
    assert judge([legacy])[0].reason is None
    assert judge([bare[:-1] + ("q" if bare[-1] != "q" else "p")]) == [("cashaddr", "checksum")]
    assert judge(["bchtest:" + bare]) == [("cashaddr", "checksum")]


@pytest.mark.parametrize(("address", "form"), KNOWN)
def test_well_known_addresses_have_their_format(address, form):
    assert judge([address]) == [(form, None)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not_an_address"),
        ("0x", "not_hex"),
        ("0x" + "a" * 39, "length"),
        ("0x" + "a" * 41, "length"),
        ("0x" + "g" * 40, "not_hex"),
        ("vitalik.eth", "not_an_address"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "checksum"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfN0", "not_an_address"),
        ("rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTi", "checksum"),
        ("äöü" * 12, "not_an_address"),
        ("1" * 500, "not_an_address"),
        ("5be5543ff73456ab9f2d207887e2af87322c651ea1a873c5b25b7ffae456c320", "not_an_address"),
    ],
    ids=str,
)
def test_what_is_no_address_says_why(text, reason):
    assert judge([text])[0].reason == reason


CHECKED = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
    "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A",
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("address", CHECKED, ids=lambda address: address[:6])
def test_one_wrong_character_never_passes_a_checksum(address, seed):
    dice = random.Random(seed)
    alphabet = BECH32_ALPHABET if address.startswith("bc1") else BITCOIN_ALPHABET
    wrong = []
    for _ in range(60):
        place = dice.randrange(4, len(address))
        other = dice.choice([character for character in alphabet if character != address[place]])
        wrong.append(address[:place] + other + address[place + 1 :])
    assert {judged.reason for judged in judge(wrong)} == {"checksum"}


@pytest.mark.parametrize("seed", range(5))
def test_base58_is_the_number_written_to_the_base_58(seed):
    raw = random.Random(seed).randbytes(25)
    raw = bytes(seed) + raw[seed:]  # leading zeros
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BITCOIN_ALPHABET[digit] + text
    assert decoded_base58("1" * (len(raw) - len(raw.lstrip(b"\0"))) + text) == raw


# The formats of the chains that each list is about.
OFAC = {
    "ARB": {"evm"}, "BSC": {"evm"}, "ETC": {"evm"}, "ETH": {"evm"}, "USDC": {"evm"},
    "BCH": {"base58check_0", "cashaddr"}, "BSV": {"base58check_0"}, "BTG": {"base58check_38"}, "DASH": {"base58check_76"},
    "LTC": {"base58check_48", "base58check_50"}, "TRX": {"base58check_65"}, "USDT": {"evm", "base58check_0", "base58check_5", "base58check_65"},
    "XBT": {"base58check_0", "base58check_5", "bech32_bc"}, "XMR": {"monero"}, "XRP": {"xrp"}, "XVG": {"base58check_30"}, "ZEC": {"base58check_7352"},
}  # fmt: skip
# Two of the 654 are no address of the chain whose list they are in.
NOT_OF_THE_CHAIN = {
    "5be5543ff73456ab9f2d207887e2af87322c651ea1a873c5b25b7ffae456c320",  # XMR: a payment id, 32 bytes in hexadecimal
    "TUCsTq7TofTCJRRoHk6RvhMoS2mJLm5Yzq",  # XBT: a Tron address
}


def test_every_address_that_ofac_lists_is_valid_on_its_chain():
    files = sorted((DATA / "ofac_crypto").glob("sanctioned_addresses_*.txt"))
    if not files:
        pytest.skip(f"NOT TESTED: no OFAC addresses in {DATA / 'ofac_crypto'}")
    wrong, seen = {}, 0
    for file in files:
        asset = file.stem.rpartition("_")[2]
        listed = file.read_text(encoding="utf-8").split()
        seen += len(listed)
        for address, judged in zip(listed, judge(listed), strict=True):
            if judged.reason is not None or judged.address_format not in OFAC[asset]:
                wrong[address] = (asset, *judged)
    assert seen >= 650
    assert set(wrong) == NOT_OF_THE_CHAIN, wrong
