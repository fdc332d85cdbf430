"""The line that says how a run ended."""

from distrl.cli.running import format_summary

_RESULT = {
    "status": "stopped",
    "reason": "Ctrl-C",
    "env_steps": 12_160,
    "learner_steps": 1_008,
    "evaluation_return": None,
    "evaluation_truncated": None,
    "best_return": 0.96,
    "wall_seconds": 52.04,
}


def test_a_run_is_summed_up_in_a_line(tmp_path):
    line = format_summary({**_RESULT, "run_dir": str(tmp_path)})
    assert line == (
        "stopped (Ctrl-C): return none, best 0.96, 12,160 env_steps, "
        f"1,008 learner_steps, 52.0 s, {tmp_path}"
    )


def test_a_return_of_zero_is_one(tmp_path):
    result = {**_RESULT, "evaluation_return": 0.0, "run_dir": str(tmp_path)}
    assert "return 0, " in format_summary(result)


def test_truncated_episodes_are_named(tmp_path):
    truncated = {"evaluation_return": -7.0, "evaluation_truncated": 1_200}
    line = format_summary({**_RESULT, **truncated, "run_dir": str(tmp_path)})
    assert "return -7 (1,200 episodes truncated), best" in line


def test_a_directory_that_was_never_made_is_not_named(tmp_path):
    line = format_summary({**_RESULT, "run_dir": str(tmp_path / "run")})
    assert line.endswith(", 52.0 s")


def test_a_directory_below_this_one_is_named_from_here(tmp_path, monkeypatch):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    line = format_summary({**_RESULT, "run_dir": str(tmp_path / "runs" / "one")})
    assert line.endswith(", runs/one")
