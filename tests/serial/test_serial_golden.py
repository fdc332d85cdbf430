"""Each agent still learns the params that are summarized in golden.json."""

import json

import numpy as np
import pytest
from make_golden import FILE, summarize

from distrl.agents import list_agents

GOLDEN = json.loads(FILE.read_text())
# Kinds of CPU round differently, and so do versions of JAX. Measured, SSE4.2 against
# AVX2: 8e-5 for r2d2, whose value transform magnifies the difference, and less than
# 4e-6 for the others; JAX 0.12.0 against 0.4.38: at most 3e-6.
TOLERANCE = 1e-3


def test_golden_params_cover_exactly_the_listed_agents():
    assert list(GOLDEN) == list(list_agents()), "python tests/serial/make_golden.py"


@pytest.mark.parametrize("agent", GOLDEN)
def test_params_after_50_updates_match_golden_file(agent):
    found = summarize(agent)
    assert list(found) == list(GOLDEN[agent])
    for path, golden in GOLDEN[agent].items():
        summary = found[path]
        assert summary["shape"] == golden["shape"], path
        scale = golden["abs_sum"]
        for name in ("sum", "abs_sum"):
            assert summary[name] == pytest.approx(
                golden[name], abs=TOLERANCE * scale
            ), (path, name)
        np.testing.assert_allclose(
            summary["entries"],
            golden["entries"],
            rtol=TOLERANCE,
            atol=TOLERANCE * scale / np.prod(golden["shape"]),
            err_msg=path,
        )
