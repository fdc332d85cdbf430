"""The error that a user mends, and the spelling that it offers."""

import pytest

from distrl.errors import ConfigError, find_nearest, offer, suggest


def test_a_config_error_is_a_value_error_with_its_message():
    with pytest.raises(ValueError, match="^seed = -1: too low$") as caught:
        raise ConfigError("seed = -1: too low")
    assert type(caught.value) is ConfigError


@pytest.mark.parametrize(
    ("word", "words", "nearest"),
    [
        ("hiden", ["kernel", "hidden"], "hidden"),
        ("Cartpol", ["catch", "CartPole"], "CartPole"),
        ("CARTPOLE-V1", ["Acrobot-v1", "CartPole-v1"], "CartPole-v1"),
        # Of 3 + 4 characters 2 * 2 are shared: 4 / 7 is below 0.6.
        ("cab", ["cart"], None),
        # Of 4 + 4 characters 2 * 3 are shared: 6 / 8 is not.
        ("card", ["cart"], "cart"),
        ("", ["catch"], None),
        ("catch", [], None),
    ],
)
def test_the_nearest_spelling_whatever_its_case(word, words, nearest):
    assert find_nearest(word, iter(words)) == nearest
    assert suggest(word, words) == ("" if nearest is None else offer(nearest))


def test_there_is_one_wording():
    assert suggest("cach", ["catch", "cartpole"]) == " Did you mean 'catch'?"
    assert offer("a", "b") == " Did you mean 'a' or 'b'?"
    assert offer() == ""
