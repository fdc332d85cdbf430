"""The processes that act: policy, exploration, n-step transitions, role."""
