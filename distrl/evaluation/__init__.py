"""Evaluation of what a run has saved, by whoever asks and beside the run itself."""

from distrl.evaluation.run_evaluation import evaluate_run

__all__ = ["evaluate_run"]
