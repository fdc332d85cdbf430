"""A number that is none any more is found, with its name and its step."""

import numpy as np
import pytest

from distrl.learner.health import DivergedError, check_arrays, check_metrics


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_metric_is_named_with_its_value_and_step(bad):
    with pytest.raises(DivergedError) as caught:
        check_metrics({"max_td": 1.0, "entropy": float(bad)}, 12_800)
    assert str(caught.value).startswith(f"entropy = {bad} at learner step 12,800. ")
    for advice in (
        "learning_rate",
        "max_gradient_norm",
        "max_abs_reward",
        "checkpoint",
    ):
        assert advice in str(caught.value)


def test_a_loss_is_named_before_the_others():
    with pytest.raises(DivergedError, match="^loss = nan "):
        check_metrics({"entropy": np.nan, "loss": np.nan}, 1)


def test_numbers_are_fine():
    check_metrics({}, 0)
    check_metrics({"loss": 0.0, "max_td": -1e300}, 1)
    largest = np.full((3, 3), np.finfo(np.float32).max)
    check_arrays("parameters", {"w": largest, "n": np.int32(3), "k": np.zeros(0)}, 1)
    check_arrays("parameters", {}, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_is_named_with_its_value_and_step(bad, dtype):
    array = np.ones((2, 3), dtype)
    array[1, 2] = bad
    nest = ({"linear": {"b": np.zeros(3), "w": array}}, {})
    with pytest.raises(DivergedError) as caught:
        check_arrays("parameters", nest, 300)
    assert str(caught.value).startswith(
        f"parameters[0]['linear']['w'] holds {bad} at learner step 300. "
    )
