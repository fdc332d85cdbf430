"""Evaluation: the evaluator node, `distrl evaluate`, and the policy of a run."""
