"""Seeds and keys, derived from (seed, role, indices), so that no two are alike."""

import hashlib


def derive_seed(seed: int, role: str, *indices: int) -> int:
    """Returns a seed below 2**31 for one part of a run.

    Args:
      seed: the seed of the run.
      role: the name of a role, for example `actor`.
      *indices: which one of that role, for example (actor, environment). Another number
        of indices gives another seed, too.
    """
    text = repr((int(seed), role, *map(int, indices)))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1
