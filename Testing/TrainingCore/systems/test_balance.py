"""The balance rule keeps the adversarial game informative and leaves the L1 term alone."""

from __future__ import annotations

from TrainingCore.systems.balance import AdversarialBalance


def make() -> AdversarialBalance:
    return AdversarialBalance(low=0.1, high=0.4, step=0.9, floor=0.05)


def test_a_discriminator_that_wins_is_slowed_to_the_floor_and_recovers() -> None:
    balance = make()
    for _ in range(300):
        balance.update(0.95, 0.05)
    assert balance.discriminator == 0.05
    assert balance.adversarial == 1.0
    for _ in range(300):
        balance.update(0.6, 0.4)
    assert balance.discriminator == 1.0


def test_a_discriminator_that_cannot_tell_weighs_less_for_the_generator() -> None:
    balance = make()
    for _ in range(300):
        balance.update(0.5, 0.5)
    assert balance.adversarial == 0.05
    assert balance.discriminator == 1.0


def test_state_round_trip() -> None:
    balance, other = make(), make()
    for _ in range(30):
        balance.update(0.9, 0.1)
    other.load(balance.state())
    assert other == balance
