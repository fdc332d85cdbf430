"""Values that packages pass to each other."""

import jax

from distrl.types import Transition


def test_transition_is_jax_tree_in_time_order():
    transition = Transition({"x": 1, "y": 2}, 3, 4, 5, {"x": 6, "y": 7})
    assert jax.tree.leaves(transition) == [1, 2, 3, 4, 5, 6, 7]
    doubled = jax.tree.map(lambda x: 2 * x, transition)
    assert isinstance(doubled, Transition)
    assert doubled.observation_t == {"x": 12, "y": 14}
