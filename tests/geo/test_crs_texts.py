from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.errors import CRSError

from tests.bad_input.tiffs import write_citation
from tests.support.canaries import Canary, canary
from tests.support.crstexts import texts_with_files
from tests.support.limits import cpu_limit
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.geo.crs import code_of_file, crs_of, transform_point, transform_points
from tileserver.geo.crs_texts.forms import MAX_CHARACTERS, read_crs
from tileserver.geo.crs_texts.proj_strings import KNOWN
from tileserver.geo.crs_texts.refusals import RefusedCrs
from tileserver.ingest.sources import open_source

HOSTILE = texts_with_files("{path}", "{url}")
MODIS = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
UTM = CRS.from_epsg(32610)
REGISTRY = Path(rasterio.__file__).parent / "proj_data" / "proj.db"
SPHERE = 'GEOGCS["g",DATUM["d",SPHEROID["s",{radius},0]],PRIMEM["Greenwich",0],UNIT["degree",0.01]]'


@pytest.fixture(scope="module")
def bird(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    with canary(tmp_path_factory.mktemp("canary")) as found:
        yield found


def test_the_canary_tells_of_a_file_that_is_read(bird: Canary) -> None:
    assert bird.touched() == []
    Path(bird.path).read_text()
    assert bird.touched() == ["opened"]
    assert bird.touched() == []


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_text_that_names_a_file_or_a_host_is_refused_and_opens_none(
    kind: str, bird: Canary
) -> None:
    text = texts_with_files(bird.path, bird.url)[kind]
    with pytest.raises(InvalidRequest, match="expected one such as EPSG:4326"):
        transform_point("EPSG:4326", text, 1.0, 2.0)
    assert bird.touched() == []


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    texts = [str(tmp_path / "fifo"), f"+init={tmp_path}/fifo:x", "/proc/self/fd/0"]
    code = (
        "import sys\nfrom tileserver.geo.crs import crs_of\n"
        "from tileserver.errors import InvalidRequest\n"
        "for text in sys.argv[1:]:\n"
        "    try: crs_of(text)\n"
        "    except InvalidRequest: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *texts],
        timeout=120,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.split() == ["refused"] * 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("+proj=longlat +nadgrids=x.gsb", "names a file with [+]nadgrids"),
        ("+proj=longlat +init=x:y", "names a file with [+]init"),
        ("+proj=longlat +foo=1", "unknown PROJ parameter 'foo'"),
        ("+proj=longlat +ellps=/etc/x", "'/etc/x' as [+]ellps"),
        ("+proj=longlat +a=1 +a=2", "has 'a' twice"),
        ("+datum=WGS84 +x_0=1", "without [+]proj"),
        ("PARAMETERFILE[]", "begins with 'PARAMETERFILE'"),
        ('GEOGCS["x",FOO["y"]]', "WKT keyword 'FOO'"),
        ('GEOGCS["x"', "GEOGCS does not end"),
        ('GEOGCS["x")', "GEOGCS does not end"),
        ('GEOGCS["x"] y', "goes on after its end"),
        ('GEOGCS["x",\N{LEFT DOUBLE QUOTATION MARK}]', "not WKT at character 12"),
        ("GEOGCS[" * 17 + "1" + "]" * 17, "nested 16 deep"),
        ('GEOGCS["x\0"]', "control characters"),
        ("{", "is not JSON"),
        ('{"type": "Transformation"}', "no PROJJSON"),
        ('{"type": "GeographicCRS", "x": 1}', "member 'x'"),
        ("x" * (MAX_CHARACTERS + 1), "20001 characters, more than 20000"),
        ("FOO:1", "no code of EPSG, ESRI"),
        ("EPSG:x", "no code of EPSG, ESRI"),
        ("nonsense", "is no code, WKT, PROJJSON or PROJ string"),
    ],
)
def test_the_reason_is_told(text: str, reason: str) -> None:
    with pytest.raises(RefusedCrs, match=reason):
        read_crs(text)


@pytest.mark.parametrize("mark", ["(", "["])
def test_a_text_nested_without_end_is_refused_at_once(mark: str) -> None:
    for text in (("GEOGCS" + mark) * 2_000, '{"a":' * 3_000, "[" * 19_000):
        with pytest.raises(RefusedCrs):
            read_crs(text)


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("epsg:4326", "EPSG:4326"),
        (" EPSG:4326 ", "EPSG:4326"),
        ("WGS84", "EPSG:4326"),
        ("OGC:CRS84", "EPSG:4326"),
        ("CRS:84", "EPSG:4326"),
        ("NAD27", "EPSG:4267"),
        ("urn:ogc:def:crs:EPSG::32610", "EPSG:32610"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"),
        ("http://www.opengis.net/def/crs/EPSG/0/3857", "EPSG:3857"),
        ("+init=epsg:32610", "EPSG:32610"),
        ("+init=epsg:32610 +no_defs", "EPSG:32610"),
        ("EPSG:32610+5773", "EPSG:32610"),
        ("SR-ORG:6627", "EPSG:3857"),
        ("SR-ORG:6974", MODIS),
        ("ESRI:54009", "+proj=moll +datum=WGS84"),
        ("+proj=utm +zone=10 +datum=WGS84 +units=m +no_defs", "EPSG:32610"),
        ("proj=utm zone=10 datum=WGS84", "EPSG:32610"),
        (UTM.to_wkt(), "EPSG:32610"),
        (UTM.to_wkt(version="WKT1_ESRI"), "EPSG:32610"),
        (UTM.to_wkt(version="WKT2_2015"), "EPSG:32610"),
        (UTM.to_wkt(version="WKT2_2019"), "EPSG:32610"),
        (UTM.to_wkt().replace("[", "(").replace("]", ")"), "EPSG:32610"),
        (UTM.to_wkt().replace(",", ",\n    "), "EPSG:32610"),
        (json.dumps(UTM.to_dict(projjson=True)), "EPSG:32610"),
        ("EPSG:9707", "EPSG:4326"),
        ("EPSG:4979", "EPSG:4326"),
    ],
)
def test_a_crs_is_known_by_all_its_texts(text: str, like: str) -> None:
    x, y = transform_point("EPSG:4326", text, -121.0, 40.0)
    expected = transform_point("EPSG:4326", like, -121.0, 40.0)
    assert (x, y) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        MODIS,
        "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80 +units=m +no_defs",
        "+proj=ob_tran +o_proj=longlat +o_lon_p=-162 +o_lat_p=39.25 +lon_0=180 +to_meter=0.01745",
        "+proj=longlat +R=6370997 +no_defs",
        "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=40 +lon_0=-97 +R=6370000",
        "+proj=longlat +R=6367470 +no_defs",
        "+proj=longlat +R=6371229 +no_defs",
        "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m "
        "+nadgrids=@null +wktext +no_defs",
        "+proj=utm +zone=33 +ellps=bessel +nadgrids=@null +units=m +no_defs",
        "+proj=utm +zone=33 +ellps=intl +towgs84=-87,-98,-121,0,0,0,0 +units=m +no_defs",
        "+proj=geos +h=35785831 +lon_0=-75 +sweep=x +ellps=GRS80 +units=m",
        "+proj=tmerc +lat_0=38d30'N +lon_0=-9.13 +k=1 +pm=lisbon +ellps=intl +units=us-ft",
        "+proj=omerc +lat_0=4 +lonc=102.25 +alpha=323.02 +k=0.99984 +gamma=323.13 +no_uoff "
        "+ellps=evrst48 +units=m",
        "+proj=sterea +lat_0=52.15 +lon_0=5.38 +k=0.9999079 +ellps=bessel "
        "+towgs84=565.417,50.3319,465.552,-0.398957,0.343988,-1.8774,4.0725",
    ],
)
def test_a_projection_of_ones_own_survives_all_its_forms(text: str) -> None:
    crs = CRS.from_string(text)
    expected = CRS.from_epsg(4326), crs
    x, y = rasterio.warp.transform(*expected, [-8.0], [40.0])
    forms = [text, json.dumps(crs.to_dict(projjson=True))]
    for version in ("WKT1_GDAL", "WKT2_2015", "WKT2_2019"):
        try:
            forms.append(crs.to_wkt(version=version))
        except CRSError:  # not all can be told in all versions
            continue
    for form in forms:
        assert transform_point("EPSG:4326", form, -8.0, 40.0) == pytest.approx((x[0], y[0]))


def _registered() -> list[str]:
    query = (
        "select auth_name, code from crs_view where auth_name in ('EPSG', 'ESRI') and deprecated=0 "
        "and type in ('geographic 2D', 'geographic 3D', 'projected', 'compound') order by code"
    )
    with sqlite3.connect(f"file:{REGISTRY}?mode=ro", uri=True) as registry:
        return [f"{authority}:{code}" for authority, code in registry.execute(query)]


@pytest.mark.slow
def test_what_proj_writes_of_its_registry_is_read(capfd: pytest.CaptureFixture[str]) -> None:
    codes = _registered()[::25]
    assert len(codes) > 300
    for code in codes:
        authority, number = code.split(":")
        crs = CRS.from_user_input(f"urn:ogc:def:crs:{authority}::{number}")
        texts = [code, json.dumps(crs.to_dict(projjson=True))]
        for version in ("WKT1_GDAL", "WKT1_ESRI", "WKT2_2015", "WKT2_2019"):
            try:
                texts.append(crs.to_wkt(version=version))
            except CRSError:
                continue
        for text in texts:
            found = read_crs(text).text
            assert not text.endswith("]") or CRS.from_wkt(found) is not None
    capfd.readouterr()


@pytest.mark.parametrize(
    "text",
    [
        "IAU_2015:49900",
        "ESRI:104905",
        "+proj=longlat +R=3396190",
        "+proj=eqc +R=1737400",
        "+proj=longlat +a=6050000 +b=6050000",
        "+proj=longlat +R=1",
        SPHERE.format(radius=3396190),
        CRS.from_string("+proj=longlat +R=3396190").to_wkt(version="WKT2_2019"),
        json.dumps(CRS.from_string("+proj=longlat +R=3396190").to_dict(projjson=True)),
    ],
)
def test_a_crs_of_another_body_is_refused_at_once(text: str) -> None:
    points = np.linspace(-80, 80, 4_000)
    told = "not of the Earth: the semi-major axis"
    with cpu_limit(2), pytest.raises(InvalidRequest, match=told):
        transform_points("EPSG:4326", text, points, points / 2)


def test_a_projection_without_inverse_costs_no_more_than_one_search() -> None:
    points = np.linspace(-1e6, 1e6, 20_000)
    with cpu_limit(5):
        x, _ = transform_points("ESRI:54025", "EPSG:3857", points, points)
    assert not np.isfinite(x).any()


def test_heights_are_left_out_before_operations_are_searched() -> None:
    for text in ("EPSG:9707", "EPSG:4979", CRS.from_epsg(9707).to_wkt(version="WKT2_2019")):
        assert "VERT" not in crs_of(text).to_wkt()
        assert len(crs_of(text).to_dict(projjson=True)["coordinate_system"]["axis"]) == 2


def test_proj_fetches_no_grids_whatever_the_environment_says() -> None:
    code = "import os, tileserver.geo.crs; print(os.environ['PROJ_NETWORK'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        timeout=120,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PROJ_NETWORK": "ON", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.strip() == "OFF"


def test_a_source_to_ingest_is_checked_before_gdal_opens_it(tmp_path: Path, bird: Canary) -> None:
    evil = texts_with_files(bird.path, bird.url)["extension of PROJ's own"]
    write_citation(tmp_path / "evil.tif", f"ESRI PE String = {evil}|", "<", is_big=False)
    with pytest.raises(UnreadableRaster, match="citation of its CRS names a file"):
        open_source(tmp_path / "evil.tif")
    assert bird.touched() == []


def test_a_file_of_another_body_is_unreadable_and_says_why() -> None:
    with pytest.raises(
        UnreadableRaster, match="x: the GeoTIFF's CRS is not of the Earth"
    ) as caught:
        code_of_file(CRS.from_string("+proj=longlat +R=3396190"), "x")
    assert "gdal_edit.py -a_srs" in str(caught.value)
    assert "gdalwarp" not in str(caught.value), "it finds no way to the Earth, either"


PIECES = st.sampled_from(
    [
        *("+proj=longlat", "+proj=pipeline", "+step", "+ellps=WGS84", "+R=6371000", "+init=", " "),
        *("+nadgrids=", "+geoidgrids=@", "+grids=", "{path}", "{path}:key", "{url}", "/vsicurl/"),
        *('GEOGCS["', 'PROJCS["', "BOUNDCRS[", 'EXTENSION["PROJ4","', 'REMARK["', '"]', '",', "]"),
        *("PROJ CRS string: ", "PROJ-based operation method: ", '""', "[", "(", ",", "\0", "\n"),
        *("ESRI::", "EPSG:", "4326", "{", '"type": "BoundCRS"', "é", "\\u0050", "=", "'"),
    ]
)
CHANGES = st.tuples(st.floats(0, 1), st.floats(0, 1), PIECES)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=st.sampled_from([*HOSTILE.values(), UTM.to_wkt(), MODIS, ""]),
    changes=st.lists(CHANGES, max_size=12),
)
def test_whatever_a_text_is_nothing_is_opened_or_asked(
    start: str, changes: list[tuple[float, float, str]], bird: Canary
) -> None:
    text = start
    for place, share, piece in changes:
        at = int(place * len(text))
        text = text[:at] + piece + text[at + int(share * share * 8) :]
    text = text.replace("{path}", bird.path).replace("{url}", bird.url)
    with cpu_limit(2), suppress(InvalidRequest):
        transform_point("EPSG:4326", text, 1.0, 2.0)
    assert bird.touched() == []


@given(st.text(max_size=60), st.sampled_from(sorted(KNOWN)))
def test_no_value_of_a_parameter_is_a_path(value: str, name: str) -> None:
    try:
        found = read_crs(f"+proj=longlat +{name}={value}").text
    except RefusedCrs:
        return
    assert "@" not in found.replace("@null", "")
    assert ":" not in found
    assert "\\" not in found
    assert "/" not in found or name in ("to_meter", "vto_meter")
