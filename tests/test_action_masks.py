import numpy as np
import pytest

from distrl.action_masks import join_mask, split_mask

MASK = np.array([1, 0], np.uint8)
ARRAY = np.zeros(3)


@pytest.mark.parametrize(
    ("observation", "seen"),
    [
        # Networks see a single array next to the mask as it is.
        ({"observation": ARRAY, "action_mask": MASK}, ARRAY),
        ({"board": ARRAY, "action_mask": MASK}, {"board": ARRAY}),
        (
            {"observation": ARRAY, "turn": 1, "action_mask": MASK},
            {"observation": ARRAY, "turn": 1},
        ),
        # A dict stays nested, so that the parts can be joined again.
        (
            {"observation": {"a": ARRAY}, "action_mask": MASK},
            {"observation": {"a": ARRAY}},
        ),
        ({"observation": (ARRAY, 1), "action_mask": MASK}, (ARRAY, 1)),
    ],
)
def test_masked_observation_is_split_and_joined(observation, seen):
    rest, mask = split_mask(observation)
    assert rest == seen if isinstance(seen, (dict, tuple)) else rest is seen
    assert mask is MASK
    assert join_mask(rest, mask) == observation


@pytest.mark.parametrize(
    "observation", [ARRAY, (ARRAY, MASK), {"deep": {"action_mask": MASK}}, 3, None]
)
def test_observation_without_mask_is_unchanged(observation):
    rest, mask = split_mask(observation)
    assert rest is observation and mask is None
    assert join_mask(rest, None) is observation
