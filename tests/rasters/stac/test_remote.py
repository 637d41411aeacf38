"""Documents and files behind URLs: followed on the hosts that may be, and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.rasters.bucket import Bucket, serve_folder
from tests.support.scenefiles import write_scene
from tests.support.stacfiles import container, item, scene_assets, write
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import TileserverError, UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.remote.files import RemoteFiles
from tileserver.rasters.roots import Root


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    folder = tmp_path_factory.mktemp("bucket")
    write_scene(folder / "files", overviews=())
    with serve_folder(folder) as served:
        yield served


Make = Callable[..., Catalogue]


@pytest.fixture
def catalogue() -> Iterator[Make]:
    """Return what makes a catalogue of a document, with hosts that it may lead to."""
    made: list[Catalogue] = []

    def make(url: str, *hosts: str, recheck_s: float = 3600) -> Catalogue:
        made.append(Catalogue([Root(url)], RemoteFiles(recheck_s, document_hosts=hosts)))
        return made[-1]

    yield make
    for thread in threading.enumerate():
        if thread.name == "stac":
            thread.join()
    for each in made:
        each.remote.close()


def test_a_catalogue_behind_a_url_leads_to_files_behind_urls(
    bucket: Bucket, catalogue: Make
) -> None:
    write(bucket.folder / "catalog.json", container("Catalog", "c", [("item", "./i/one.json")]))
    write(bucket.folder / "i/one.json", item("one", scene_assets("../files/")))
    rasters = LocalRasters(catalogue(f"http://{bucket.address}/catalog.json"))
    name = f"{LOCAL_PREFIX}/c/one"
    assert rasters.catalogue.names() == [name]
    assert not rasters.catalogue.is_local(name)
    found = rasters.bands(PixelRequest(name, ImageFileFormat.NPY, band_ids=("red", "scl")))
    with rasterio.open(bucket.folder / "files" / "B04.tif") as dataset:
        assert np.array_equal(found.values[0], dataset.read(1))
    asked = [path for _, path, _, _ in bucket.answers()]
    assert not [path for path in asked if path.endswith((".jpg", ".xml", ".jp2"))]
    rasters.close()


def test_a_local_document_leads_to_named_hosts_only(
    bucket: Bucket, tmp_path: Path, catalogue: Make
) -> None:
    path = write(tmp_path / "a.json", item("a", scene_assets(f"http://{bucket.address}/files/")))
    name = f"{LOCAL_PREFIX}/a"
    asked = len(bucket.answers())
    with pytest.raises(UnreadableRaster, match="which the configuration does not name"):
        catalogue(str(path)).find(name)
    assert len(bucket.answers()) == asked
    assert catalogue(str(path), bucket.address).find(name).asset.band_ids[0] == "blue"


def test_pages_of_a_search_are_followed(bucket: Bucket, catalogue: Make) -> None:
    for number in range(3):
        links = [{"rel": "next", "href": f"page{number + 1}.json"}] if number < 2 else []
        page = {
            "type": "FeatureCollection",
            "features": [item(f"i{number}", scene_assets("files/"))],
            "links": [*links, {"rel": "next", "href": "x", "method": "POST"}],
        }
        write(bucket.folder / f"page{number}.json", page)
    found = catalogue(f"http://{bucket.address}/page0.json").names()
    assert found == [f"{LOCAL_PREFIX}/page0/i{number}" for number in range(3)]


def test_what_fails_is_said_and_hides_nothing_else(bucket: Bucket, catalogue: Make) -> None:
    links = [("item", "good.json"), ("item", "broken/x.json"), ("item", "gone.json")]
    write(bucket.folder / "mixed.json", container("Catalog", "m", links))
    write(bucket.folder / "good.json", item("good", scene_assets("files/")))
    found = catalogue(f"http://{bucket.address}/mixed.json")
    assert found.find(f"{LOCAL_PREFIX}/m/good").asset.band_ids
    for name, why in (("x", "fails"), ("gone", "404")):
        with pytest.raises(TileserverError, match=why):
            found.find(f"{LOCAL_PREFIX}/m/{name}")
    with pytest.raises(TileserverError, match="404"):
        catalogue(f"http://{bucket.address}/nowhere.json").find(f"{LOCAL_PREFIX}/nowhere")


def test_redirects_are_not_followed(tmp_path: Path, bucket: Bucket, catalogue: Make) -> None:
    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://{bucket.address}/good.json")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Redirecting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asked = len(bucket.answers())
    with pytest.raises(UnreadableRaster, match="redirects are not followed"):
        catalogue(f"http://127.0.0.1:{server.server_port}/a.json").find(f"{LOCAL_PREFIX}/a")
    assert len(bucket.answers()) == asked
    server.shutdown()
    server.server_close()


def test_a_known_catalogue_is_used_on_while_its_server_fails(
    bucket: Bucket, catalogue: Make
) -> None:
    document = write(
        bucket.folder / "live.json", container("Catalog", "l", [("item", "good.json")])
    )
    write(bucket.folder / "good.json", item("good", scene_assets("files/")))
    found = catalogue(f"http://{bucket.address}/live.json", recheck_s=0)
    assert found.names() == [f"{LOCAL_PREFIX}/l/good"]
    document.unlink()
    found.scan_again()
    assert found.scan_again().images.keys() == {f"{LOCAL_PREFIX}/l/good"}


def test_nobody_waits_again_for_a_server_that_fails(bucket: Bucket, catalogue: Make) -> None:
    found = catalogue(f"http://{bucket.address}/broken/catalog.json")
    name = f"{LOCAL_PREFIX}/catalog"
    with pytest.raises(TileserverError, match="fails"):
        found.find(name)
    asked = len(bucket.answers())
    found.scan_again()
    with pytest.raises(TileserverError, match="fails"):
        found.find(name, 0)
    assert len(bucket.answers()) == asked
