"""The growth that the soak benchmark reports."""

import pytest

from benchmarks.soak import list_growth


@pytest.mark.parametrize(
    ("process", "before", "after", "grew"),
    [
        # The host is never killed: two MiB or a tenth are noise.
        ("host", 6.0, 7.9, False),
        ("host", 6.0, 8.1, True),
        ("front", 40.0, 43.9, False),
        ("front", 40.0, 44.1, True),
        # Another incarnation of a node may be ten MiB higher.
        ("evaluator", 42.5, 49.9, False),
        ("evaluator", 42.5, 53.0, True),
        ("learner", 130.0, 142.0, False),
        ("learner", 130.0, 144.0, True),
    ],
)
def test_memory_growth_beyond_noise_is_reported(process, before, after, grew):
    files = {"files": 10}
    (row,) = list_growth(
        {process: {"MiB": before, **files}}, {process: {"MiB": after, **files}}
    )
    assert (row["MiB grew"], row["files grew"]) == (grew, False)


def test_open_file_growth_is_reported():
    before, after = ({"actor/0": {"MiB": 50.0, "files": n}} for n in (30, 36))
    (row,) = list_growth(before, after)
    assert (row["MiB grew"], row["files grew"]) == (False, True)
