"""Evaluation: the evaluator node, and `distrl evaluate` for saved parameters."""

from distrl.evaluation.run_evaluation import evaluate_run

__all__ = ["evaluate_run"]
