"""The learner node: its state, the pure update over devices, and its loop."""
