"""What a run tells: metrics files, TensorBoard, and progress on the terminal."""
