"""The actor: its policy, its transitions, and its role."""
