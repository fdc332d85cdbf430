"""The learner has the devices; all others have one CPU thread."""

from distrl.launch.placement import node_environment


def test_the_learner_sees_what_jax_shows(monkeypatch):
    forced = "--xla_force_host_platform_device_count=4"
    monkeypatch.setenv("XLA_FLAGS", forced)
    environment = node_environment("learner")
    assert set(environment) == {"XLA_FLAGS"}
    assert environment["XLA_FLAGS"].split()[0] == forced


def test_all_others_compute_on_one_cpu_thread():
    for group in ("actor", "evaluator", "replay", "anything"):
        environment = node_environment(group)
        assert environment["JAX_PLATFORMS"] == "cpu"
        assert "intra_op_parallelism_threads=1" in environment["XLA_FLAGS"]
