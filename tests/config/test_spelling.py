"""The nearest spelling."""

from distrl.config.spelling import find_nearest, suggest


def test_nearest_word_whatever_its_case():
    assert find_nearest("Cartpol", ["catch", "CartPole"]) == "CartPole"


def test_nothing_near():
    assert find_nearest("xyz", ["catch", "cartpole"]) is None
    assert suggest("xyz", ["catch"]) == ""


def test_suggest():
    assert suggest("cach", ["catch", "cartpole"]) == "; did you mean catch?"
