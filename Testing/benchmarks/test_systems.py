"""The benchmark of the systems compares like with like."""

from __future__ import annotations

import pytest

from Testing.benchmarks.systems import EXCHANGE, build
from Testing.benchmarks.turns import ratio_table, rows_of


@pytest.mark.parametrize("name", list(EXCHANGE))
def test_a_peer_is_the_same_network_and_learns_in_the_same_step(name: str) -> None:
    pytest.importorskip("monai", reason="the peers are MONAI's: pip install monai")
    peer, ours = build(name, True, 16), build(name, False, 16)
    assert peer.parameters == pytest.approx(ours.parameters, rel=1e-3)
    if name == "joint_flair_wmh":
        assert peer.step().keys() == ours.step().keys()
        assert max(peer.error(), ours.error()) < 1e-4


def test_ratios_are_taken_within_each_round_and_their_spread_is_told() -> None:
    def run(cpu: float) -> dict[str, float]:
        return {"wall_s": 1.0, "cpu_s": cpu, "peak_gb": 2.0, "parameters": 1000, "error": 1e-6}

    rows = rows_of("step", {"ours": [run(1.0), run(4.0), run(3.0)], "monai": [run(2.0), run(4.0), run(4.0)]}, "monai")
    assert rows[0]["cpu_s_ratio"] == (0.75, 0.5, 1.0)
    assert (
        "| step | ours | 1,000 | 3 | 1.00 | 1.00 | 3.00 | 0.75 (0.50 to 1.00) | 2.00 | 1.00 | 1.0e-06 |"
        in ratio_table(rows)
    )
