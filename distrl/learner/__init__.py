"""The learner: its state, the pure update over devices, and its role."""
