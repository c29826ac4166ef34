"""Erasing a person: everywhere their data lies, with a proof that nothing is left but what the report names.

`inventory` says where data lies and what becomes of it; `subjects` whose it is; `removing` takes it out, store by store; `proof` counts again and
searches the whole state folder; `suppressed` keeps hashed contacts, so that who comes back is left alone; `erase` does all of it, in an order
that a killed process can go on with.
"""
