"""Acting: policy, exploration, n-step transitions, and the role that joins them."""
