import pytest

from distrl.errors import ConfigError
from distrl.networks.arguments import check_size, check_sizes


def test_positive_integers_pass():
    check_sizes("hidden_sizes", [])
    check_sizes("hidden_sizes", (64, 1))
    check_size("kernel", 1)


@pytest.mark.parametrize("sizes", [64, None, "64", [0], [-1], [1.5], [True], [[2]]])
def test_other_lists_are_refused(sizes):
    with pytest.raises(ConfigError) as caught:
        check_sizes("hidden_sizes", sizes, "network.head_args")
    assert str(caught.value) == (
        f"network.head_args: hidden_sizes is {sizes!r}; it has to be a list of "
        "positive integers, for example [64, 64]."
    )


@pytest.mark.parametrize("size", [0, -1, 1.5, True, None, "3", [3]])
def test_other_sizes_are_refused(size):
    with pytest.raises(ConfigError) as caught:
        check_size("kernel", size)
    assert str(caught.value) == (
        f"network.args: kernel is {size!r}; it has to be a positive integer."
    )
