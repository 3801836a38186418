"""Bounds of the memory for the access of callers."""

import pytest

from configsvc.access import policy
from configsvc.access.policy import AccessPolicy
from configsvc.domain.access import Authentication, Identity
from configsvc.domain.claims import MAX_GROUPS


def member(name: str, groups: int) -> Identity:
    return Identity(
        principal=f"user:{name}",
        groups=frozenset(f"group:{name}-{number}" for number in range(groups)),
        authentication=Authentication.OIDC,
        expires=None,
    )


@pytest.mark.parametrize("groups", [0, 10, MAX_GROUPS])
def test_what_is_remembered_of_callers_is_bounded_by_the_names_of_their_groups(
    monkeypatch: pytest.MonkeyPatch, groups: int
) -> None:
    monkeypatch.setattr(policy, "REMEMBERED_BYTES", 2_000 * policy.NAME_BYTES)
    known = AccessPolicy(frozenset())
    for number in range(300):
        known.access_of(member(str(number), groups))
        names = len(known._access) * (policy.NAMES_OF_CALLER + groups)
        assert 0 < names <= 2_000
