"""A row a group; nodes of a group whose devices differ have a row each."""

from distrl.telemetry.placement import GroupPlacement, group_placements

CPU = {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "XLA_FLAGS": "--long=true"}


def facts(host, variables, memory_mib=100, **more):
    return {
        "host": host,
        "memory_mib": memory_mib,
        "device_variables": variables,
        **more,
    }


def test_groups_are_rows():
    nodes = {
        "variables": facts("a", CPU),
        "learner": facts("a", {"CUDA_VISIBLE_DEVICES": "1"}, jax_devices="1 x H100"),
        "actor/0": facts("a", CPU),
        "actor/1": facts("b", CPU, memory_mib=50),
        "actor/2": facts("b", CPU, memory_mib=50),
    }
    cpu = "JAX_PLATFORMS=cpu OMP_NUM_THREADS=1"
    assert group_placements(nodes) == [
        GroupPlacement("variables", 1, ("a",), cpu, 100),
        GroupPlacement("learner", 1, ("a",), "1 x H100 CUDA_VISIBLE_DEVICES=1", 100),
        GroupPlacement("actor", 3, ("a", "b"), cpu, 50),
    ]


def test_other_devices_are_another_row():
    nodes = {
        f"actor/{index}": facts("a", {"CUDA_VISIBLE_DEVICES": str(index)})
        for index in range(2)
    }
    assert [row.devices for row in group_placements(nodes)] == [
        "CUDA_VISIBLE_DEVICES=0",
        "CUDA_VISIBLE_DEVICES=1",
    ]
