"""Seeds and keys, derived from (seed, role, index), so that no two are alike."""

import zlib

import numpy as np


def derive_seed(seed: int, role: str, *indices: int) -> int:
    """Returns a seed below 2**31 for one part of a run.

    Args:
      seed: the seed of the run.
      role: the name of a role, for example `actor`.
      *indices: which one of that role, for example (actor, environment).
    """
    entropy = (seed, zlib.crc32(role.encode()), *indices)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)
