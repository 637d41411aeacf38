"""Images kept for the next tile: so many bytes of them, the oldest go first."""

from __future__ import annotations

from tileserver.compute.image_cache import ImageCache
from tileserver.compute.values.image import Image


def test_images_are_held_by_expression_and_version() -> None:
    cache, image = ImageCache(), Image(())
    cache.put("a", "1", image, 10)
    assert cache.get("a", "1") is image
    assert cache.get("a", "2") is None


def test_those_not_used_for_longest_go_first() -> None:
    cache = ImageCache(max_bytes=30)
    for name in "abc":
        cache.put(name, "", Image(()), 10)
    assert cache.get("a", "")
    cache.put("d", "", Image(()), 10)
    assert [name for name in "abcd" if cache.get(name, "")] == ["a", "c", "d"]


def test_what_is_held_twice_counts_once() -> None:
    cache = ImageCache(max_bytes=20)
    for _ in range(5):
        cache.put("a", "", Image(()), 10)
    cache.put("b", "", Image(()), 10)
    assert cache.get("a", "")


def test_a_large_one_does_not_push_out_all_others() -> None:
    cache = ImageCache(max_bytes=30)
    cache.put("a", "", Image(()), 10)
    cache.put("large", "", Image(()), 31)
    assert cache.get("a", "")
    assert cache.get("large", "") is None


def test_what_is_larger_than_all_is_not_held() -> None:
    cache = ImageCache(max_bytes=20)
    cache.put("a", "", Image(()), 21)
    assert cache.get("a", "") is None
    cache.put("b", "", Image(()), 20)
    assert cache.get("b", "")
