"""Images held for the next tile: so many bytes of them, the oldest go first."""

from __future__ import annotations

from tileserver.compute.held import HeldImages
from tileserver.compute.values.image import Image


def test_images_are_held_by_expression_and_version() -> None:
    held, image = HeldImages(), Image(())
    held.hold("a", "1", image, 10)
    assert held.get("a", "1") is image
    assert held.get("a", "2") is None


def test_those_not_used_for_longest_go_first() -> None:
    held = HeldImages(max_bytes=30)
    for name in "abc":
        held.hold(name, "", Image(()), 10)
    assert held.get("a", "")
    held.hold("d", "", Image(()), 10)
    assert [name for name in "abcd" if held.get(name, "")] == ["a", "c", "d"]


def test_what_is_held_twice_counts_once() -> None:
    held = HeldImages(max_bytes=20)
    for _ in range(5):
        held.hold("a", "", Image(()), 10)
    held.hold("b", "", Image(()), 10)
    assert held.get("a", "")


def test_a_large_one_does_not_push_out_all_others() -> None:
    held = HeldImages(max_bytes=30)
    held.hold("a", "", Image(()), 10)
    held.hold("large", "", Image(()), 31)
    assert held.get("a", "")
    assert held.get("large", "") is None


def test_what_is_larger_than_all_is_not_held() -> None:
    held = HeldImages(max_bytes=20)
    held.hold("a", "", Image(()), 21)
    assert held.get("a", "") is None
    held.hold("b", "", Image(()), 20)
    assert held.get("b", "")
