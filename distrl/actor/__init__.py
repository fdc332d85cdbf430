"""The actor node: policy, exploration, and accumulators of items."""
