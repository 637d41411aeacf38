import pytest

from tileserver.rest.methods import METHODS, Found, find_method

PATHS = [
    ("GET", "projects/p/algorithms", "list_algorithms"),
    ("GET", "projects/p/config", "get_config"),
    ("GET", "projects/p:listAssets", "list_assets"),
    ("GET", "projects/p/assets:listAssets", "list_assets"),
    ("GET", "projects/p/assets/a/b:listAssets", "list_assets"),
    ("HEAD", "projects/p/assets/a:listImages", "list_images"),
    ("POST", "projects/p/assets/a/b:getPixels", "get_pixels"),
    ("POST", "projects/domain.tld:p/assets/a:getPixels", "get_pixels"),
    ("POST", "COPERNICUS/S2/x:getPixels", "get_pixels"),
    ("POST", "projects/p/value:compute", "compute_value"),
    ("POST", "projects/p/image:computePixels", "compute_pixels"),
    ("POST", "projects/p/maps", "create_map"),
    ("GET", "projects/p/maps/abc/tiles/1/2/3", "get_tile"),
    ("POST", "projects/p/thumbnails", "create_thumbnail"),
    ("GET", "projects/p/thumbnails/abc:getPixels", "get_thumbnail"),
    ("GET", "projects/p/assets/a/b", "get_asset"),
    ("GET", "projects/p/assets", "get_asset"),
    ("GET", "projects/p/assets/maps/x/tiles/1/2/3", "get_asset"),
    ("POST", "projects/p/assets", "refused"),
    ("POST", "projects/p/assets/a/b:copy", "refused"),
    ("DELETE", "projects/p/assets/a/b", "refused"),
    ("PATCH", "projects/p/config", "refused"),
    ("POST", "projects/p/video:export", "refused"),
    ("DELETE", "projects/p/operations/x", "get_operation"),
]


@pytest.mark.parametrize(("http_method", "path", "handler"), PATHS)
def test_a_path_finds_its_method(http_method: str, path: str, handler: str) -> None:
    found = find_method(http_method, path)
    assert isinstance(found, Found)
    assert found.method.handler == handler


@pytest.mark.parametrize(
    ("http_method", "path", "others"),
    [
        ("POST", "projects/p/algorithms", ("GET",)),
        ("GET", "projects/p/assets/a:getPixels", ("POST",)),
        ("PUT", "projects/p/assets/a", ("GET",)),
        ("PATCH", "projects/p/maps", ("POST",)),
        ("POST", "projects/p/operations", ("GET",)),
        ("GET", "projects/p/table:export", ("POST",)),
        ("POST", "projects/p/nothing", ()),
        ("GET", "", ()),
    ],
)
def test_another_http_method_is_told_which_would_do(
    http_method: str, path: str, others: tuple[str, ...]
) -> None:
    assert find_method(http_method, path) == others


def test_no_two_methods_have_the_same_id() -> None:
    assert len({method.id for method in METHODS}) == len(METHODS)
