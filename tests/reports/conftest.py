import pytest
from reports.handmade_results import make_results, write_sweep

from distrl.reports.scores import score_sweep


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """Four whole experiments, part of one, and one with too few episodes."""
    path = tmp_path_factory.mktemp("sweeps") / "a <sweep>"
    results = {}
    # Not in bsuite's order.
    for name in ("memory_size", "memory_len", "deep_sea", "bandit"):
        results.update(make_results(name))
    results.update(make_results("catch", ids=range(3)))
    results.update(make_results("bandit_noise", episodes=50, ids=[0]))
    ids = {"mnist/0": {"status": "failed", "reason": "<no network>"}}
    write_sweep(path, results, ids=ids)
    return score_sweep(str(path))
