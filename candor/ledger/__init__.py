"""The decision ledger as evidence: what a run decided and why, chained by hashes, put together again on demand.

`files` says what is published for it, `chain` makes and verifies the chain, `reassembly` puts pairs together, `explaining` answers one question.
"""
