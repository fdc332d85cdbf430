"""Metrics files, TensorBoard, and progress on the terminal."""
