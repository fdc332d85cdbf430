"""Seeds derived from the seed of a run, different for each of its parts."""

import hashlib


def derive_seed(seed: int, role: str, *indices: int) -> int:
    """Returns a seed below 2**31 for one part of a run.

    `role` and `indices` name the part, for example `actor` and (actor, environment).
    """
    text = repr((int(seed), role, *map(int, indices)))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1
