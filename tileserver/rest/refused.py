"""The methods of Earth Engine's API that are not answered, each with what would do instead.

Clients make their functions from the discovery document: a method that were missing there would
end in a crash of the client instead of the sentence here.
"""

from __future__ import annotations

from tileserver.rest.method import ASSET, NUMBER, PROJECT, ROOT, Method

_ACCOUNT = r"billingAccounts/[^/]+"
_LOCATION = r"projects/[^/]+/locations/[^/]+"

_FILES = (
    "tileserver does not create, change, copy, move or delete assets. They are files below a "
    "folder that it serves: change the files, and the assets follow."
)
_INGESTION = (
    "tileserver does not import over its API. Put the file below a folder that it serves; "
    "`tileserver ingest` makes a Cloud-Optimized GeoTIFF of it."
)
_POLICIES = (
    "tileserver keeps no IAM policies. Its configuration says under [access] who may read which "
    "assets; nobody may write any."
)
_EXPORT = (
    "tileserver does not export {0}. What fits into one answer comes from getDownloadURL, "
    "computePixels or computeFeatures."
)
_VIDEO = "tileserver makes no {0}. getThumbURL of single images makes pictures."
_FEATURE_VIEW = (
    "tileserver makes no feature views. FeatureCollection.style, and getMapId of the image that it "
    "returns, draw features."
)
_SEARCH = "tileserver does not search assets by words. listAssets lists them, with a filter."
_LINKS = "tileserver has no linked assets."
_IMAGES = (
    "tileserver does not compute the images of a collection as assets. Compute the collection's "
    "value, or the pixels of each image."
)
_PROJECTS = "tileserver has no {0}: every project is as good as registered."


def _method(
    id_: str, http_method: str, path: str, pattern: str, refusal: str, *query: str
) -> Method:
    """Return a method whose path has one parameter."""
    name = path.partition("{+")[2].partition("}")[0]
    patterns = {name: pattern} if name else {}
    return Method(id_, http_method, path, "refused", patterns, query, refusal=refusal)


def _exports() -> tuple[Method, ...]:
    return tuple(
        _method(
            f"projects.{kind}.export",
            "POST",
            f"{{+project}}/{kind}:export",
            PROJECT,
            _EXPORT.format(plural),
        )
        for kind, plural in (
            ("video", "videos"),
            ("map", "maps"),
            ("videoMap", "maps of videos"),
            ("classifier", "classifiers"),
        )
    )


def _assets(parent: str, owner: str) -> tuple[Method, ...]:
    """Return the methods that make assets, in a project or in a location of one."""
    return tuple(
        _method(f"{owner}.assets.{name}", "POST", f"{{+parent}}/{path}", parent, _FILES, "assetId")
        for name, path in (("create", "assets"), ("createInternal", "assets:createInternal"))
    )


def _of_one_asset() -> tuple[Method, ...]:
    sentences = {
        "copy": ("sourceName", _FILES),
        "move": ("sourceName", _FILES),
        "link": ("sourceName", _LINKS),
        "getLinked": ("name", _LINKS),
        "getIamPolicy": ("resource", _POLICIES),
        "setIamPolicy": ("resource", _POLICIES),
        "testIamPermissions": ("resource", _POLICIES),
    }
    return tuple(
        _method(f"projects.assets.{verb}", "POST", f"{{+{name}}}:{verb}", f"{ROOT}|{ASSET}", text)
        for verb, (name, text) in sentences.items()
    )


def _pictures() -> tuple[Method, ...]:
    made: list[Method] = []
    for kind, plural in (("videoThumbnails", "videos"), ("filmstripThumbnails", "filmstrips")):
        text = _VIDEO.format(plural)
        at = f"projects/[^/]+/{kind}/[^/]+"
        made += (
            _method(
                *(f"projects.{kind}.create", "POST", f"{{+parent}}/{kind}", PROJECT, text),
                "workloadTag",
            ),
            _method(f"projects.{kind}.getPixels", "GET", "{+name}:getPixels", at, text),
        )
    for kind in ("featureView", "featureViews"):
        made.append(
            _method(
                f"projects.{kind}.create", "POST", f"{{+parent}}/{kind}", PROJECT, _FEATURE_VIEW
            )
        )
    return tuple(made)


def _of_locations() -> tuple[Method, ...]:
    text = _PROJECTS.format("locations")
    return tuple(
        _method(f"projects.locations.{kind}.create", "POST", f"{{+parent}}/{kind}", _LOCATION, text)
        for kind in (
            *("maps", "thumbnails", "tables", "videoThumbnails", "filmstripThumbnails", "assets"),
        )
    )


def _subscriptions() -> tuple[Method, ...]:
    text = _PROJECTS.format("billing accounts")
    name = "billingAccounts.subscriptions"
    one = f"{_ACCOUNT}/subscriptions/[^/]+"
    return (
        _method(f"{name}.create", "POST", "{+parent}/subscriptions", _ACCOUNT, text),
        _method(f"{name}.list", "GET", "{+parent}/subscriptions", _ACCOUNT, text),
        _method(f"{name}.changeType", "POST", "{+name}:changeType", one, text),
        _method(f"{name}.terminate", "POST", "{+name}:terminate", one, text),
    )


REFUSED: tuple[Method, ...] = (
    *_exports(),
    *_assets(PROJECT, "projects"),
    *_of_one_asset(),
    *_pictures(),
    Method(
        "projects.featureViews.tiles.get",
        "GET",
        "{+parent}/tiles/{zoom}/{x}/{y}",
        "refused",
        {"parent": r"projects/[^/]+/featureViews/[^/]+", "zoom": NUMBER, "x": NUMBER, "y": NUMBER},
        refusal=_FEATURE_VIEW,
    ),
    _method(
        *("projects.assets.search", "GET", "{+project}/assets:search", PROJECT, _SEARCH),
        *("query", "pageSize", "pageToken"),
    ),
    _method("projects.image.import", "POST", "{+project}/image:import", PROJECT, _INGESTION),
    _method(
        *("projects.image.importExternal", "POST", "{+project}/image:importExternal", PROJECT),
        _INGESTION,
    ),
    _method("projects.table.import", "POST", "{+project}/table:import", PROJECT, _INGESTION),
    _method(
        *("projects.imageCollection.computeImages", "POST"),
        *("{+project}/imageCollection:computeImages", PROJECT, _IMAGES),
    ),
    _method(
        *("projects.updateConfig", "PATCH", "{+name}", r"projects/[^/]+/config"),
        *(_PROJECTS.format("configuration of projects"), "updateMask"),
    ),
    *_of_locations(),
    *_subscriptions(),
)
"""In the order in which they are tried, before those that are answered."""
REFUSED_OF_NAMES = (
    _method("projects.assets.patch", "PATCH", "{+name}", f"{ROOT}|{ASSET}", _FILES, "updateMask"),
    _method("projects.assets.delete", "DELETE", "{+name}", f"{ROOT}|{ASSET}", _FILES),
)
"""Their path is any name, so they are tried after all others."""
