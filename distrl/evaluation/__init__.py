"""Evaluation: the evaluator of a run, and `distrl evaluate` of what a run saved."""

from distrl.evaluation.run_evaluation import evaluate_run

__all__ = ["evaluate_run"]
