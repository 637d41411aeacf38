"""How much of the official client is tried out."""

from __future__ import annotations

from tests.clients.basics import NEAR
from tests.clients.images import IMAGES
from tests.clients.test_refusals import REFUSALS
from tests.clients.test_values import ALL


def test_at_least_sixty_cases_go_through_the_official_client() -> None:
    assert len(ALL) + len(NEAR) >= 60
    assert len(IMAGES) >= 20
    assert len(REFUSALS) >= 10
