"""The actor: policy, exploration, accumulators of items, and its node."""
