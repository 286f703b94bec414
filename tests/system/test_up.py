"""``lrm up`` with a real node: it comes up, comes back, stops, and says why when it cannot work."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import psutil
import pytest

from lrm_bringup.environment import DDS_PROFILE_VARIABLES
from robot_bags import NS, START_NS, RobotBagWriter
from ros_testing import node_process, ros_context, spin_until, wait_until

HERE = {"PYTHONPATH": os.pathsep.join(sys.path)}
PROGRAM = "import sys; from lrm_bringup.cli import main; sys.exit(main())"


def command(tmp_path: Path, *words: str, graph: str = "record") -> list[str]:
    return [sys.executable, "-c", PROGRAM, "up", graph, *words, "--logs", str(tmp_path / "logs")]


def parameters(tmp_path: Path, **values: object) -> str:
    lines = "".join(f"    {name}: {value}\n" for name, value in values.items())
    path = tmp_path / "mine.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n{lines}")
    return str(path)


def test_a_node_comes_up_comes_back_after_a_kill_and_stops(tmp_path: Path, ros_domain_id: int) -> None:
    bags = tmp_path / "bags"
    words = command(tmp_path, "--params", parameters(tmp_path, out_dir=bags))
    with node_process(words, tmp_path / "up.log", HERE) as up:
        wait_until(bags.is_dir, 60.0, "the recorder is configured")
        found = re.search(r"recorder started \(pid (\d+)\)", up.output)
        assert found, up.output
        os.kill(int(found[1]), signal.SIGKILL)
        up.wait_for_output("recorder restarted")
        up.send(signal.SIGINT)
        assert up.wait() == 0
        assert "recorder crashed" in up.output
        assert "killed by SIGKILL" in up.output
        pids = re.findall(r"pid (\d+)", up.output)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_parameter_out_of_range_ends_it_with_the_name_and_the_range(tmp_path: Path, ros_domain_id: int) -> None:
    words = command(tmp_path, "--params", parameters(tmp_path, reserve_mb=0))
    with node_process(words, tmp_path / "up.log", HERE) as up:
        assert up.wait(30.0) == 2
        last = up.output.splitlines()[-1]
    assert last.startswith("lrm: recorder: ")
    assert "reserve_mb is 0: expected at least 1 MB" in last


def test_a_parameter_file_that_is_not_there_is_named(tmp_path: Path, ros_domain_id: int) -> None:
    words = command(tmp_path, "--params", "missing.yaml")
    with node_process(words, tmp_path / "up.log", HERE) as up:
        assert up.wait(30.0) == 2
        assert "missing.yaml" in up.output


def test_without_respawn_the_death_of_a_node_ends_it(tmp_path: Path, ros_domain_id: int) -> None:
    bags = tmp_path / "bags"
    words = command(tmp_path, "--no-respawn", "--params", parameters(tmp_path, out_dir=bags))
    with node_process(words, tmp_path / "up.log", HERE) as up:
        wait_until(bags.is_dir, 60.0, "the recorder is configured")
        found = re.search(r"recorder started \(pid (\d+)\)", up.output)
        assert found, up.output
        os.kill(int(found[1]), signal.SIGKILL)
        assert up.wait(30.0) == 2
        assert "crashed 1 times" in up.output


@pytest.mark.parametrize(("reach", "open_to_others"), [("auto", False), ("subnet", True)])
def test_the_network_reaches_a_node_only_when_asked(
    tmp_path: Path, ros_domain_id: int, monkeypatch: pytest.MonkeyPatch, reach: str, open_to_others: bool
) -> None:
    for name in (*DDS_PROFILE_VARIABLES, "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.delenv(name)
    bags = tmp_path / "bags"
    words = command(tmp_path, "--discovery-range", reach, "--params", parameters(tmp_path, out_dir=bags))
    with node_process(words, tmp_path / "up.log", HERE) as up:
        wait_until(bags.is_dir, 60.0, "the recorder is configured")
        pids = [int(pid) for pid in re.findall(r"recorder started \(pid (\d+)\)", up.output)]
        heard = [one.laddr for pid in pids for one in psutil.Process(pid).net_connections("inet") if one.laddr]
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    listening = {address.ip for address in heard if address.port < first_outgoing}
    assert listening
    assert bool(listening - {"127.0.0.1"}) == open_to_others, heard


def test_a_recorded_run_is_scored_live(tmp_path: Path, ros_domain_id: int) -> None:
    from lrm_core.ros import qos, stamps
    from lrm_msgs.msg import Reward

    writer = RobotBagWriter(tmp_path / "bag")
    for step in range(11):
        writer.image(START_NS + step * NS // 10, 20 * step, size=64)
    writer.status(START_NS, "a.0", 2, START_NS)
    words = command(tmp_path, str(writer.close()), "--rate", "2", graph="replay")
    rewards: list[Reward] = []
    with ros_context(ros_domain_id) as context, node_process(words, tmp_path / "up.log", HERE) as up:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        node = rclpy.create_node("listener", context=context)
        node.create_subscription(Reward, "reward/progress", rewards.append, qos.REWARD)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        spin_until(executor, lambda: len(rewards) >= 2 or up.exit_code is not None, 90.0, "two rewards")
        executor.shutdown()
        node.destroy_node()
        up.send(signal.SIGINT)
        assert up.wait() == 0
    assert [stamps.to_ns(reward.header.stamp) for reward in rewards] == [START_NS, START_NS + NS]
    assert {reward.episode_id for reward in rewards} == {"a.0"}
