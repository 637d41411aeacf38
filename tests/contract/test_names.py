import pytest

from tileserver.contract.names import full_name, is_root, parent_name
from tileserver.errors import AssetNotFound


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("projects/localhost/assets/x", "projects/localhost/assets/x"),
        ("projects/earthengine-legacy/assets/projects/demo/assets/x", "projects/demo/assets/x"),
        ("projects/earthengine-public/assets/projects/demo/assets/x", "projects/demo/assets/x"),
        ("projects/earthengine-legacy/assets/users/me/x", "users/me/x"),
        ("projects/earthengine-public/assets/A/B", "projects/earthengine-public/assets/A/B"),
        ("A/B", "projects/earthengine-public/assets/A/B"),
        ("projects/localhost/assets/x/", "projects/localhost/assets/x"),
    ],
)
def test_all_spellings_of_an_asset_are_one_name(spelling: str, name: str) -> None:
    assert full_name(spelling) == name
    assert parent_name(spelling) == name


@pytest.mark.parametrize(
    "spelling",
    [
        "projects/demo",
        "projects/demo/assets",
        "projects/demo/assets/",
        "projects/earthengine-legacy/assets/projects/demo/assets",
        "projects/earthengine-legacy/assets/projects/demo",
    ],
)
def test_all_spellings_of_a_project_are_its_root(spelling: str) -> None:
    assert parent_name(spelling) == "projects/demo/assets"
    assert is_root(parent_name(spelling))


@pytest.mark.parametrize("name", ["projects/p/assets/../x", "a//b", "x" * 1001])
def test_what_no_asset_can_be_named_is_not_found(name: str) -> None:
    with pytest.raises(AssetNotFound):
        full_name(name)
