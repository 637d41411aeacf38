"""What `config` refuses, and how it says so; what it reads is in `test_config`."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import ValidationError

from tileserver.config.config import load_config
from tileserver.config.schema import describe
from tileserver.errors import ConfigError

SECRET = "hunter2-s3cret"  # pragma: allowlist secret

Refusal = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refusal:
    """Return the error for TOML text in "tileserver.toml" of the current folder."""
    monkeypatch.chdir(tmp_path)

    def refusal(
        toml: str | bytes,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> str:
        path = Path("tileserver.toml")
        path.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        with pytest.raises(ConfigError) as caught:
            load_config(path, environ or {}, overrides or {})
        message = str(caught.value)
        assert message.isprintable(), "an error is one line"
        return message

    return refusal


LAYER = '[layers.ndvi]\nasset = "a"\n'
EE = '[earth_engine]\nproject = "my-project"\n'
S2 = f'{EE}[layers.a]\ncollection = "COPERNICUS/S2_SR_HARMONIZED"\n'
BAD_FILES = [
    # broken files
    ("[server\n", "not valid TOML: ", "(at line 1, column 8)"),
    ("[server]\nport =", "not valid TOML: ", "(at line 2, column 7)"),
    ("a = [1,", "not valid TOML: ", "(at line 1, column 8)"),
    ("x = 1\nx = 2", "not valid TOML: ", "(at line 2, column "),
    (b"[server]\n# \xff", "expected UTF-8 text, got the byte 0xff (at line 2, column 3)"),
    (f"x = {'[' * 5000}", "not valid TOML"),
    (f"x = {'9' * 5000}", "not valid TOML"),
    # unknown names
    (f"{LAYER}pallete = 'x'", '[layers.ndvi] unknown key "pallete", did you mean "palette"?'),
    ("[cach]\nmemory = 1", 'unknown key "cach", did you mean "cache"?'),
    ("port = 1", 'unknown key "port", did you mean it in [server]?'),
    ("[cache]\nmemroy = 1", '[cache] unknown key "memroy", did you mean "memory"?'),
    ("[cache]\nmemory_bytes = 1", '[cache] unknown key "memory_bytes", did you mean "memory"?'),
    ("[server]\nqqq = 1", '[server] unknown key "qqq", expected one of: host, port, workers'),
    ('[server]\n"a\\nb" = 1', '[server] unknown key "a\\nb"'),
    ("[[rasters]]\npath = 'a'\nprefx = 'b'", '[[rasters]] #1 unknown key "prefx", did you'),
    ("[layers.a.b]\nasset = 'a'", '[layers.a] unknown key "b"; a layer\'s name with a dot'),
    # wrong shapes
    ("server = 1", "[server]: expected a table, got a value of type int"),
    ("[[server]]\nport = 1", "[server]: expected a table, got a value of type list"),
    ("[rasters]\npath = 'a'", "[rasters]: expected tables that begin with [[rasters]]"),
    ("rasters = ['a.tif']", "[[rasters]] #1: expected a table, got text"),
    ("[[layers]]\nasset = 'a'", "[layers]: expected a table"),
    ("[layers]\nndvi = 'a'", "[layers.ndvi]: expected a table, got text"),
    # missing settings
    ("[earth_engine]", '[earth_engine] needs "project"'),
    ("[layers.ndvi]\nmin = 1", "[layers.ndvi] needs one of asset, expression and collection"),
    ("[[rasters]]\nprefix = 'x'", '[[rasters]] #1 needs "path"'),
    # wrong values
    ("[server]\nport = 65536", "[server] port: expected a whole number from 0 to 65535, got 65536"),
    ("[server]\nport = -1", "[server] port: expected a whole number from 0 to 65535, got -1"),
    ("[server]\nport = true", "[server] port: expected a whole number", "got true"),
    ("[server]\nport = '80'", "[server] port: expected a whole number", 'got "80"'),
    ("[server]\nport = 80.0", "[server] port: expected a whole number", "got 80.0"),
    ("[server]\nworkers = 0", "[server] workers: expected a whole number of at least 1, got 0"),
    ("[server]\nhost = ''", "[server] host: expected a host name", 'got ""'),
    ("[server]\nhost = 'localhost:80'", "[server] host: expected a host name"),
    ("[server]\nhost = 'http://a'", "[server] host: expected a host name"),
    ("[server]\nhost = 2020-01-01", "[server] host: expected", 'got "2020-01-01"'),
    ("[server]\npublic_url = 'a.org'", "[server] public_url: expected", 'got "a.org"'),
    ("[server]\npublic_url = 'ftp://a.org'", "[server] public_url: expected"),
    ("[server]\npublic_url = 'https://a.org/?b=1'", "[server] public_url: expected"),
    ("[server]\npublic_url = 'https://a.org:99999'", "[server] public_url: expected"),
    ("[server]\npublic_url = 'https://[a'", "[server] public_url: expected"),
    (
        "[cache]\nmemory = 'lots'",
        '[cache] memory: expected a size of at least 1MB, such as "512MB"',
    ),
    ("[cache]\nmemory = '512'", "[cache] memory: expected"),
    ("[cache]\nmemory = '5M'", "[cache] memory: expected", 'got "5M"'),
    ("[cache]\nmemory = -1", "[cache] memory: expected", "got -1"),
    ("[cache]\nmemory = 2e9", "[cache] memory: expected"),
    ("[cache]\nttl = 0", "[cache] ttl: expected a time above zero", "got 0"),
    ("[cache]\nttl = '-1h'", "[cache] ttl: expected a time above zero"),
    ("[cache]\nttl = '1y'", "[cache] ttl: expected", 'such as "1h"', 'got "1y"'),
    ("[cache]\nttl = inf", "[cache] ttl: expected"),
    ("[cache]\nttl = true", "[cache] ttl: expected", "got true"),
    ("[cache]\nurl = 'localhost'", '[cache] url: expected an address such as "redis://localhost'),
    ("[cache]\nurl = 'http://localhost'", "[cache] url: expected"),
    ("[cache]\nurl = 'redis://'", "[cache] url: expected"),
    ("[cache]\nurl = 'unix://'", "[cache] url: expected"),
    ("[[rasters]]\npath = 'ftp://a/b.tif'", "[[rasters]] #1 path: expected a file, a folder"),
    ("[[rasters]]\npath = 's3://'", "[[rasters]] #1 path: expected a file"),
    ("[[rasters]]\npath = ' '", "[[rasters]] #1 path: expected a file"),
    ("[[rasters]]\npath='a'\nprefix='localhost'", '[[rasters]] #1 prefix: expected "projects/"'),
    ("[[rasters]]\npath='a'\nprefix='projects/me/assets'", "prefix: expected", "6 to 30"),
    ("[access]\nassets = 'a'", "[access] assets: expected a list of texts", 'got "a"'),
    ("[access]\nassets = [1]", "[access] assets: expected a list of texts, got [1]"),
    ("[access]\nassets = ['']", "[access] assets: expected a list of texts"),
    ("[access]\nopn = true", '[access] unknown key "opn", did you mean "open"?'),
    ("[access]\nopen = 'yes'", '[access] open: expected true or false, got "yes"'),
    ("[access]\nkey = { a = 'x' }", '[access] unknown key "key", did you mean "keys"?'),
    ("[access]\nkeys = ['x']", '[access] keys: expected a table such as {name = "env:NAME"}'),
    ("[remote]\nprivate_host = ['a']", 'did you mean "private_hosts"?'),
    ("[remote]\nprivate_hosts = 'a'", "[remote] private_hosts: expected a list of texts"),
    ("[access]\nkeys = { a = 'env:1A' }", "[access] keys.a: expected the secret itself"),
    ("[access]\nkeys = { 'a b' = 'x' }", '[access] keys."a b": a name has letters'),
    ("[earth_engine]\nproject = 'projects/a'", "[earth_engine] project: expected a Google Cloud"),
    (f"{EE}concurrency = 0", "[earth_engine] concurrency: expected a whole number of at least 1"),
    (f"{EE}requests_per_second = 0", "requests_per_second: expected a number above 0, got 0"),
    (f"{EE}endpoint = 'x'", "[earth_engine] endpoint: expected an address"),
    # images that are computed
    (f"{LAYER}collection = 'b'", "[layers.ndvi] needs one of", "got asset and collection"),
    ("[layers.a]\nexpression='a'\ncollection='b'", "needs one of", "got expression and collection"),
    (f"{EE}[layers.a]\nexpression = ''", "[layers.a] expression: expected a file"),
    (f"{EE}[layers.a]\nexpression = 7", "[layers.a] expression: expected a file, got 7"),
    (f"{LAYER}bounds = [0, 0, 1, 1]", "bounds: goes with expression or collection, not with asset"),
    (f"{LAYER}reduce = 'median'", "[layers.ndvi] reduce: goes with collection, not with asset"),
    (f"{EE}[layers.a]\nexpression='a'\nstart=2020-04-01", "start: goes with collection, not with"),
    (f"{S2}start = 2020-04-01", '[layers.a] needs "end": start and end come together'),
    (f"{S2}end = 2020-04-01", '[layers.a] needs "start": start and end come together'),
    (f"{S2}start = '1 April'", '[layers.a] start: expected a day such as "2020-04-01", got "1 Ap'),
    (f"{S2}start = '2020-02-30'", "[layers.a] start: expected a day", 'got "2020-02-30"'),
    (f"{S2}start = '20200401'", "[layers.a] start: expected a day", 'got "20200401"'),
    (f"{S2}start = 2020-04-01T00:00:00", "[layers.a] start: expected a day"),
    (
        f"{S2}start = 2020-04-01\nend = 2020-03-01",
        "[layers.a] end: expected a day after start, which is 2020-04-01, got",
    ),
    (f"{S2}start = 2020-04-01\nend = 2020-04-01", "[layers.a] end: expected a day after start"),
    (f"{S2}bounds = [0, 0, 1]", "[layers.a] bounds: expected [west, south, east, north] in deg"),
    (f"{S2}bounds = [1, 0, 0, 1]", "[layers.a] bounds: expected", "got [1, 0, 0, 1]"),
    (f"{S2}bounds = [0, 1, 1, 0]", "[layers.a] bounds: expected"),
    (f"{S2}bounds = [0, 0, 1, 91]", "[layers.a] bounds: expected"),
    (f"{S2}bounds = [-181, 0, 1, 9]", "[layers.a] bounds: expected"),
    (f"{S2}bounds = [0, 0, 361, 9]", "[layers.a] bounds: expected"),
    (f"{S2}bounds = 'world'", "[layers.a] bounds: expected"),
    (f"{S2}reduce = 'average'", "[layers.a] reduce: expected one of mosaic, first, median, mean"),
    (f"{S2}reduce = ['min']", "[layers.a] reduce: expected one of mosaic", 'got ["min"]'),
    (f"{S2}max_cloud = 101", "[layers.a] max_cloud: expected per cent, above 0 and at most 100"),
    (f"{S2}max_cloud = 0", "[layers.a] max_cloud: expected per cent"),
    (
        f"{EE}[layers.a]\ncollection = 'MODIS/061/MOD09GA'\nmax_cloud = 20",
        "[layers.a] max_cloud: the property that tells clouds is known for COPERNICUS/S2* and",
        "not for MODIS/061/MOD09GA",
    ),
    # layers
    ("[layers.'a b']\nasset = 'a'", '[layers."a b"]: a name has letters, digits', 'not " "'),
    ("[layers.-a]\nasset = 'a'", "[layers.-a]: a name begins with a letter or a digit"),
    ("[layers.'']\nasset = 'a'", '[layers.""]: a name has 1 to 64 characters, this one has 0'),
    (f"[layers.{'a' * 65}]\nasset = 'a'", "1 to 64 characters, this one has 65"),
    ("[layers.'é']\nasset = 'a'", "a name begins with a letter or a digit"),
    ("[layers.'a/b']\nasset = 'a'", 'not "/"'),
    ("[layers.\"a\\n\"]\nasset = 'a'", 'not "\\n"'),
    ("[layers.ndvi]\nasset = ''", "[layers.ndvi] asset: expected the name of an asset"),
    ("[layers.ndvi]\nasset = 7", "[layers.ndvi] asset: expected the name of an asset, got 7"),
    (f"{LAYER}title = ' '", "[layers.ndvi] title: expected text that is not blank"),
    (f"{LAYER}bands = 'B4,B3'", "[layers.ndvi] bands: expected a list of texts"),
    (f"{LAYER}min = 'a'", "[layers.ndvi] min: expected a number or a list of numbers"),
    (f"{LAYER}min = nan", "[layers.ndvi] min: expected a number"),
    (f"{LAYER}min = []", "[layers.ndvi] min: expected a number"),
    (f"{LAYER}min = [[1]]", "[layers.ndvi] min: expected a number or a list of numbers, got [[1]]"),
    (f"{LAYER}min = [1, true]", "[layers.ndvi] min: expected a number"),
    (f"{LAYER}min = 1{'0' * 400}", "[layers.ndvi] min: expected a number", "…"),
    (f"{LAYER}min = 3\nmax = 3", "[layers.ndvi] max: expected more than min, which is 3, got 3"),
    (f"{LAYER}min = [0, 9]\nmax = 5", "max: expected more than min, which is 9, got 5"),
    (f"{LAYER}min = [0, 1]\nmax = [5, 6, 7]", "max: expected one number, or as many as min"),
    (f"{LAYER}bands = ['a']\nmin = [0, 1]", "min: expected one number, or one for each of 1 bands"),
    (f"{LAYER}palette = 7", "[layers.ndvi] palette: expected a list of colours, or the name"),
    (f"{LAYER}palette = 'red,,blue'", "[layers.ndvi] palette: expected a list of colours"),
    (f"{LAYER}gamma = 0", "[layers.ndvi] gamma: expected a number above 0, got 0"),
    (f"{LAYER}gamma = '1'", "[layers.ndvi] gamma: expected a number above 0"),
    (f"{LAYER}opacity = 1.01", "[layers.ndvi] opacity: expected a number from 0 to 1, got 1.01"),
    (f"{LAYER}opacity = nan", "[layers.ndvi] opacity: expected a number from 0 to 1"),
    (f"{LAYER}minzoom = 25", "[layers.ndvi] minzoom: expected a whole number from 0 to 24, got 25"),
    (f"{LAYER}tiles_per_side = 3", "[layers.ndvi] tiles_per_side: expected 1, 2, 4 or 8, got 3"),
    (f"{LAYER}tiles_per_side = 16", "[layers.ndvi] tiles_per_side: expected 1, 2, 4 or 8, got 16"),
    (f"{LAYER}tiles_per_side = 0", "[layers.ndvi] tiles_per_side: expected 1, 2, 4 or 8, got 0"),
    (f"{LAYER}tiles_per_side = true", "tiles_per_side: expected 1, 2, 4 or 8, got true"),
    (f"{LAYER}tiles_per_side = '4'", "tiles_per_side: expected 1, 2, 4 or 8", 'got "4"'),
    (f"{LAYER}minzoom = 9\nmaxzoom = 8", "maxzoom: expected at least minzoom, which is 9, got 8"),
    (f"{LAYER}visible = 1", "[layers.ndvi] visible: expected true or false, got 1"),
    (f"{LAYER}visible = 'yes'", "[layers.ndvi] visible: expected true or false"),
    (f"{LAYER}class_names = {{ a = 1 }}", "class_names: expected a list of texts, got a table"),
]


@pytest.mark.parametrize(("toml", "parts"), [(toml, parts) for toml, *parts in BAD_FILES])
def test_a_wrong_file_is_refused_with_the_place(
    refusal: Refusal, toml: str | bytes, parts: list[str]
) -> None:
    message = refusal(toml)
    assert message.startswith("tileserver.toml: ")
    for part in parts:
        assert part in message


BAD_VARIABLES = [
    ("CACHE__MEMROY", "1", "unknown setting, did you mean TILESERVER_CACHE__MEMORY?"),
    ("CACHE_MEMORY", "1", "unknown setting, did you mean TILESERVER_CACHE__MEMORY?"),
    ("PORT", "80", "unknown setting, did you mean TILESERVER_SERVER__PORT?"),
    ("SERVER", "80", "unknown setting"),
    ("XYZ", "", "unknown setting"),
    ("", "1", "unknown setting"),
    ("CACHE__MEMORY__X", "1GB", "unknown setting, did you mean TILESERVER_CACHE__MEMORY?"),
    ("LAYERS__NDVI__PALLETE", "1", "did you mean TILESERVER_LAYERS__NDVI__PALETTE?"),
    ("LAYERS__TITLE", "x", "unknown setting"),
    ("RASTERS__PATH", "x", "unknown setting, did you mean TILESERVER_RASTERS__0__PATH?"),
    ("RASTERS__A__PATH", "x", "unknown setting, did you mean TILESERVER_RASTERS__0__PATH?"),
    ("RASTERS__1__PATH", "x", "[[rasters]] #2 comes without #1"),
    ("RASTERS__0__PREFIX", "projects/localhost/assets", '[[rasters]] #1 needs "path"'),
    ("LAYERS__DEM__TITLE", "x", "[layers.dem] needs one of asset"),
    ("LAYERS___X__ASSET", "x", "a name begins with a letter or a digit"),
    ("EARTH_ENGINE__CONCURRENCY", "3", '[earth_engine] needs "project"'),
    ("SERVER__PORT", "eighty", 'expected a whole number from 0 to 65535, got "eighty"'),
    ("SERVER__PORT", "9" * 5000, "expected a whole number from 0 to 65535"),
    ("SERVER__HOST", "a b", "expected a host name"),
    ("SERVER__HOST", "a\x1b\udcff\x85", r'got "a\u001b\udcff\x85"'),
    ("CACHE__MEMORY", "1kB", 'expected a size of at least 1MB, such as "512MB"'),
    ("LAYERS__NDVI__MIN", "1,x", 'expected a number or a list of numbers, got "1,x"'),
    ("LAYERS__NDVI__MIN", "[1", "expected a number or a list of numbers"),
    ("LAYERS__NDVI__MIN", "[" * 5000, "expected a number or a list of numbers"),
    ("LAYERS__NDVI__MIN", "[NaN]", "expected a number or a list of numbers"),
    ("LAYERS__NDVI__BANDS", "a,,b", "expected a list of texts"),
    ("LAYERS__NDVI__VISIBLE", "maybe", 'expected true or false, got "maybe"'),
    ("LAYERS__NDVI__GAMMA", "nan", "expected a number above 0"),
    ("ACCESS__KEYS", "[1]", 'expected a table such as {"name": "env:NAME"}'),
]


@pytest.mark.parametrize(("name", "value", "part"), BAD_VARIABLES)
def test_a_wrong_variable_is_refused_by_name(
    refusal: Refusal, name: str, value: str, part: str
) -> None:
    message = refusal(LAYER, {f"TILESERVER_{name}": value})
    assert message.startswith(f"TILESERVER_{name}: ")
    assert part in message


def test_plain_port_is_checked_too(refusal: Refusal) -> None:
    assert refusal("", {"PORT": "x"}).startswith("PORT: expected a whole number")


def test_a_variable_that_fits_two_layers_is_refused(refusal: Refusal) -> None:
    toml = "[layers.a-b]\nasset = 'a'\n[layers.a_b]\nasset = 'a'"
    message = refusal(toml, {"TILESERVER_LAYERS__A_B__TITLE": "T"})
    assert message == "TILESERVER_LAYERS__A_B__TITLE: may mean any of a-b, a_b"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("server.port", 70000, "--port: expected a whole number from 0 to 65535, got 70000"),
        ("server.public_url", "x", "--public-url: expected an address"),
        ("server.prot", 1, "--prot: unknown setting 'server.prot'"),
        ("server", 1, "--server: unknown setting"),
        ("rasters.0.path", "ftp://x", "--path: expected a file, a folder"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(
    refusal: Refusal, key: str, value: object, message: str
) -> None:
    assert refusal("", {}, {key: value}).startswith(message)


def test_a_contradiction_names_the_source_that_made_it(refusal: Refusal) -> None:
    message = refusal(f"{LAYER}min = 5\nmax = 9", {"TILESERVER_LAYERS__NDVI__MAX": "4"})
    assert message == ('TILESERVER_LAYERS__NDVI__MAX: expected more than min, which is 5, got "4"')


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none.toml", "no such file"),
        (tmp_path, "got a folder"),
        (tmp_path / ("n" * 300), "cannot be read"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path, {}, {})
        assert str(caught.value).startswith(f"{path}: ")
        assert reason in str(caught.value)


LEAKS: list[tuple[str, dict[str, str]]] = [
    (f"[cache]\nurl = 'http://:{SECRET}@host'", {}),
    (f"[cache]\nurl = 'redis://:{SECRET}/x@host'", {}),
    (f"[cache]\nurl = 'redis://host:{SECRET}'", {}),
    (f"[cache]\nurl = ['redis://:{SECRET}@host']", {}),
    (f"cache = 'redis://:{SECRET}@host'", {}),
    (f"[cache]\nurl = 'redis://:{SECRET}@host' x", {}),
    (f"[access]\nkeys = '{SECRET}'", {}),
    (f"[access]\nkeys = ['{SECRET}']", {}),
    (f"[access]\nkeys = {{ a = ['{SECRET}'] }}", {}),
    (f"[access]\nkeys = {{ a = 'env:{SECRET}' }}", {}),
    (f"[access]\nkeys = {{ a = {{ b = '{SECRET}' }} }}", {}),
    (f"[access]\nkeys = {{ a = {SECRET} }}", {}),
    (f"[access]\nkeys = {{ 'a b' = '{SECRET}' }}", {}),
    (f"access = '{SECRET}'", {}),
    (f"[server]\npublic_url = 'https://me:{SECRET}@host'", {}),
    (f"[[rasters]]\npath = 'ftp://me:{SECRET}@host/a.tif'", {}),
    (f"[[rasters]]\npath = 'ftp://host/a.tif?token={SECRET}'", {}),
    ("", {"TILESERVER_CACHE__URL": f"http://:{SECRET}@host"}),
    ("", {"TILESERVER_CACHE__ULR": f"http://:{SECRET}@host"}),
    ("", {"TILESERVER_ACCESS__KEYS": SECRET}),
    ("", {"TILESERVER_ACCESS__KEYS": f'{{"a": ["{SECRET}"]}}'}),
    ("", {"TILESERVER_ACCESS__KEYS__A": f"env:{SECRET}"}),
]


@pytest.mark.parametrize(("toml", "environ"), LEAKS)
def test_a_secret_never_shows_in_an_error_nor_in_its_cause(
    tmp_path: Path, toml: str, environ: dict[str, str]
) -> None:
    path = tmp_path / "tileserver.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ, {})
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        # A suppressed context is not printed, but a tool that collects errors may keep it.
        assert not isinstance(error, ValidationError), "it holds the values"
        error = error.__cause__ or error.__context__


VARIABLES = [
    "TILESERVER_" + row.key.replace("[]", ".0").replace(".", "__").upper() for row in describe()
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def outcome(environ: Mapping[str, str], overrides: Mapping[str, object]) -> str:
    try:
        load_config(None, environ, overrides)
    except ConfigError as exc:
        return str(exc)
    return "accepted"


@given(st.sampled_from(VARIABLES), st.text() | VALUES.map(json.dumps))
def test_no_text_in_a_variable_does_worse_than_a_refusal(name: str, value: str) -> None:
    assert outcome({name: value}, {}).isprintable()


@given(st.sampled_from([row.key for row in describe()]), VALUES)
def test_no_value_of_a_setting_does_worse_than_a_refusal(key: str, value: object) -> None:
    assert outcome({}, {key.replace("[]", ".0"): value}).isprintable()
