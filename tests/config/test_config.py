"""What `config` reads, and from where; what it refuses is in `test_config_refusals`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tileserver.config.config import (
    AccessSettings,
    ApiSettings,
    CacheSettings,
    Config,
    EarthEngineSettings,
    LayerSettings,
    RasterFolder,
    Server,
    load_config,
)
from tileserver.config.schema import describe
from tileserver.contract.grids import Box
from tileserver.errors import ConfigError

SECRET = "hunter2-s3cret"  # pragma: allowlist secret
DESIGN_EXAMPLE = """
[earth_engine]
project = "my-cloud-project"
endpoint = "https://earthengine-highvolume.googleapis.com"
concurrency = 40
requests_per_second = 100

[[rasters]]
path = "scenes/"
prefix = "projects/localhost/assets"

[cache]
memory = "512MB"
ttl = "1h"
url = "redis://localhost:6379"

[access]
assets = ["projects/my-cloud-project/assets/**", "COPERNICUS/S2_SR_HARMONIZED/**"]
keys = { "dashboard" = "env:DASHBOARD_KEY" }

[layers.delta]
title = "Sacramento Delta, April 2020"
asset = "COPERNICUS/S2/20200401T184919_20200401T185452_T10SFH"
bands = ["B4", "B3", "B2"]
min = 0
max = 3000
"""

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load TOML text as "tileserver.toml" in the current folder."""
    monkeypatch.chdir(tmp_path)

    def load(
        toml: str | bytes | None = None,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Config:
        path = None if toml is None else Path("tileserver.toml")
        if path is not None and toml is not None:
            path.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        return load_config(path, environ or {}, overrides or {})

    return load


def test_nothing_given_makes_the_defaults(load: Load) -> None:
    config = load()
    assert config == Config()
    assert config.server == Server("127.0.0.1", 8080, 1, None)
    assert config.cache == CacheSettings(None, 3600, None)
    assert config.access == AccessSettings(None, ())
    assert config.api == ApiSettings(True, None)
    assert (config.rasters, config.earth_engine, config.layers) == ((), None, ())


def test_an_empty_file_makes_the_defaults(load: Load) -> None:
    assert load("") == Config()


def test_the_example_of_the_documentation_is_read_whole(load: Load) -> None:
    assert load(DESIGN_EXAMPLE) == Config(
        earth_engine=EarthEngineSettings("my-cloud-project"),
        rasters=(RasterFolder("scenes"),),
        cache=CacheSettings(512_000_000, url="redis://localhost:6379"),
        access=AccessSettings(
            ("projects/my-cloud-project/assets/**", "COPERNICUS/S2_SR_HARMONIZED/**"),
            (("dashboard", "env:DASHBOARD_KEY"),),
        ),
        layers=(
            LayerSettings(
                "delta",
                "COPERNICUS/S2/20200401T184919_20200401T185452_T10SFH",
                title="Sacramento Delta, April 2020",
                bands=("B4", "B3", "B2"),
                min=(0,),
                max=(3000,),
            ),
        ),
    )


EARTH = '[earth_engine]\nproject = "my-project"\n'


def test_every_member_of_a_collection_is_read(load: Load) -> None:
    toml = f"""{EARTH}
    [layers.spring]
    collection = "COPERNICUS/S2_SR_HARMONIZED"
    start = 2020-04-01
    end = "2020-06-01"
    bounds = [-122, 37, -121.5, 38]
    reduce = "median"
    max_cloud = 20
    """
    assert load(toml).layers == (
        LayerSettings(
            name="spring",
            collection="COPERNICUS/S2_SR_HARMONIZED",
            start="2020-04-01",
            end="2020-06-01",
            bounds=Box(-122, 37, -121.5, 38),
            reduce="median",
            max_cloud=20,
        ),
    )
    assert load(f'{EARTH}[layers.all]\ncollection = "a/b"').layers[0].reduce == "mosaic"


def test_a_computed_layer_can_come_from_variables(load: Load) -> None:
    variables = {"COLLECTION": "a/b", "START": "2020-04-01", "END": "2020-04-02"}
    variables |= {"BOUNDS": "177,-20,182,-15"}
    environ = {f"TILESERVER_LAYERS__FIJI__{name}": value for name, value in variables.items()}
    (layer,) = load(EARTH, environ).layers
    assert layer.bounds == (177, -20, 182, -15)
    assert (layer.start, layer.end) == ("2020-04-01", "2020-04-02")


def test_an_expression_in_a_file_is_relative_to_it(tmp_path: Path) -> None:
    path = tmp_path / "tileserver.toml"
    path.write_text(f'{EARTH}[layers.ndvi]\nexpression = "sub/ndvi.json"')
    (layer,) = load_config(path, {}, {}).layers
    assert layer.expression == str(tmp_path / "sub" / "ndvi.json")
    assert layer.asset is None


def test_layers_stay_in_the_order_of_the_file(load: Load) -> None:
    toml = "".join(f'[layers."{name}"]\nasset = "a"\n' for name in ("z", "a.b", "M", "1", "b_c-d"))
    assert [layer.name for layer in load(toml).layers] == ["z", "a.b", "M", "1", "b_c-d"]


def test_every_member_of_a_layer_is_read(load: Load) -> None:
    toml = """
    [layers.ndvi]
    asset = "projects/localhost/assets/ndvi"
    title = "NDVI"
    description = "Greenness"
    attribution = "USGS"
    bands = ["nd"]
    min = -0.5
    max = [1]
    palette = ["#fff", "green"]
    gamma = 1.2
    opacity = 0
    minzoom = 2
    maxzoom = 14
    visible = false
    tiles_per_side = 8
    class_names = ["low", "high, very"]
    """
    assert load(toml).layers == (
        LayerSettings(
            name="ndvi",
            asset="projects/localhost/assets/ndvi",
            title="NDVI",
            description="Greenness",
            attribution="USGS",
            bands=("nd",),
            min=(-0.5,),
            max=(1.0,),
            palette=("#fff", "green"),
            gamma=1.2,
            opacity=0.0,
            minzoom=2,
            tiles_per_side=8,
            maxzoom=14,
            visible=False,
            class_names=("low", "high, very"),
        ),
    )


@pytest.mark.parametrize(
    ("written", "palette"),
    [
        ('"viridis"', ("viridis",)),
        ('"000000, 00ff00,fff"', ("000000", "00ff00", "fff")),
        ('["red"]', ("red",)),
    ],
)
def test_a_palette_is_a_list_or_one_string(
    load: Load, written: str, palette: tuple[str, ...]
) -> None:
    toml = f'[layers.a]\nasset = "a"\npalette = {written}'
    assert load(toml).layers[0].palette == palette


@pytest.mark.parametrize(
    ("written", "memory_bytes"),
    [('"64MiB"', 2**26), ('"1GB"', 10**9), ('"1.5 gb"', 1_500_000_000), ("1000000", 10**6)],
)
def test_memory_is_a_size_or_bytes(load: Load, written: str, memory_bytes: int) -> None:
    assert load(f"[cache]\nmemory = {written}").cache.memory_bytes == memory_bytes


@pytest.mark.parametrize(
    ("written", "ttl_s"),
    [('"30m"', 1800), ('"45s"', 45), ('"2d"', 172800), ("0.5", 0.5), ("7", 7), ('"7"', 7)],
)
def test_ttl_is_a_duration_or_seconds(load: Load, written: str, ttl_s: float) -> None:
    assert load(f"[cache]\nttl = {written}").cache.ttl_s == ttl_s


def test_paths_in_a_file_begin_at_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "conf" / "t.toml"
    path.parent.mkdir()
    path.write_text(
        '[[rasters]]\npath = "a.tif"\n[[rasters]]\npath = "/data/b"\n'
        '[[rasters]]\npath = "s3://bucket/c.tif"\n[[rasters]]\npath = "../d"'
    )
    environ = {"TILESERVER_RASTERS__4__PATH": "e.tif"}
    rasters = load_config(path, environ, {}).rasters
    folder = str(path.parent)
    assert [each.path for each in rasters] == [
        f"{folder}/a.tif",
        "/data/b",
        "s3://bucket/c.tif",
        f"{folder}/../d",
        "e.tif",
    ]


def test_a_byte_order_mark_and_crlf_do_no_harm(load: Load) -> None:
    assert load(b"\xef\xbb\xbf[server]\r\nport = 1\r\n").server.port == 1


def test_public_url_and_endpoint_lose_a_final_slash(load: Load) -> None:
    config = load(
        '[server]\npublic_url = "https://a.org/tiles/"\n'
        '[earth_engine]\nproject = "my-project"\nendpoint = "http://localhost:9/"'
    )
    assert config.server.public_url == "https://a.org/tiles"
    assert config.earth_engine == EarthEngineSettings("my-project", "http://localhost:9")


def test_a_configuration_reaches_another_process_whole(load: Load) -> None:
    config = load(DESIGN_EXAMPLE)
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(load(DESIGN_EXAMPLE))


FILE = "[server]\nport = 1"
PORT = {"PORT": "2"}
VARIABLE = {"TILESERVER_SERVER__PORT": "3"}


@pytest.mark.parametrize(
    ("toml", "environ", "overrides", "port"),
    [
        (None, {}, {}, 8080),
        (FILE, {}, {}, 1),
        (FILE, PORT, {}, 2),
        (None, PORT, {}, 2),
        (FILE, PORT | VARIABLE, {}, 3),
        (FILE, PORT | VARIABLE, {"server.port": 4}, 4),
        (FILE, PORT | VARIABLE, {"server.port": "4"}, 4),
        (FILE, {}, {"server.port": 0}, 0),
        (FILE, PORT | VARIABLE, {"server.port": None}, 3),
        (FILE, {"PORT": "", "TILESERVER_SERVER__PORT": ""}, {}, 1),
    ],
)
def test_the_command_line_beats_the_environment_that_beats_the_file(
    load: Load, toml: str, environ: dict[str, str], overrides: dict[str, object], port: int
) -> None:
    assert load(toml, environ, overrides).server.port == port


def test_host_is_honoured_below_our_own_variable(load: Load) -> None:
    assert load(None, {"HOST": "0.0.0.0"}).server.host == "0.0.0.0"
    environ = {"HOST": "0.0.0.0", "TILESERVER_SERVER__HOST": "::1"}
    assert load(None, environ).server.host == "::1"


def test_sources_are_merged_key_by_key(load: Load) -> None:
    config = load(
        '[cache]\nmemory = "2MB"\nttl = "1s"\nurl = "redis://a"',
        {"TILESERVER_CACHE__TTL": "2s", "TILESERVER_CACHE__URL": "redis://b"},
        {"cache.url": "redis://c"},
    )
    assert config.cache == CacheSettings(2_000_000, 2, "redis://c")


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("CACHE__MEMORY", "1GB", lambda c: c.cache.memory_bytes == 10**9),
        ("CACHE__MEMORY", "2000000", lambda c: c.cache.memory_bytes == 2_000_000),
        ("CACHE__TTL", "0.5", lambda c: c.cache.ttl_s == 0.5),
        ("EARTH_ENGINE__PROJECT", "my-project", lambda c: c.earth_engine.project == "my-project"),
        ("RASTERS__0__PATH", "s.tif", lambda c: c.rasters == (RasterFolder("s.tif"),)),
        ("LAYERS__A__TITLE", "Other", lambda c: c.layers[0].title == "Other"),
        ("LAYERS__A__BANDS", "B4, B3,B2", lambda c: c.layers[0].bands == ("B4", "B3", "B2")),
        ("LAYERS__A__BANDS", '["B4","B3"]', lambda c: c.layers[0].bands == ("B4", "B3")),
        ("LAYERS__A__BANDS", "['B4', 'B3',]", lambda c: c.layers[0].bands == ("B4", "B3")),
        ("LAYERS__A__BANDS", "[]", lambda c: c.layers[0].bands == ()),
        ("LAYERS__A__MIN", "5", lambda c: c.layers[0].min == (5.0,)),
        ("LAYERS__A__MIN", "5,-6.5", lambda c: c.layers[0].min == (5.0, -6.5)),
        ("LAYERS__A__MIN", "[5, 6]", lambda c: c.layers[0].min == (5.0, 6.0)),
        ("LAYERS__A__PALETTE", "viridis", lambda c: c.layers[0].palette == ("viridis",)),
        ("LAYERS__A__PALETTE", '["f00","0f0"]', lambda c: c.layers[0].palette == ("f00", "0f0")),
        ("LAYERS__A__VISIBLE", "False", lambda c: c.layers[0].visible is False),
        ("LAYERS__A__VISIBLE", "1", lambda c: c.layers[0].visible is True),
        ("ACCESS__ASSETS", "a/**,b", lambda c: c.access.assets == ("a/**", "b")),
        ("ACCESS__KEYS__BOB", "env:K", lambda c: c.access.keys == (("bob", "env:K"),)),
        ("ACCESS__KEYS__KEYS", "env:K", lambda c: c.access.keys == (("keys", "env:K"),)),
        ("ACCESS__KEYS", '{"Bob": "env:K"}', lambda c: c.access.keys == (("Bob", "env:K"),)),
        ("ACCESS__KEYS", "{ Bob = 'env:K' }", lambda c: c.access.keys == (("Bob", "env:K"),)),
    ],
)
def test_every_kind_of_setting_can_come_from_the_environment(
    load: Load, name: str, value: str, found: Callable[[Config], bool]
) -> None:
    assert found(load('[layers.a]\nasset = "a"', {f"TILESERVER_{name}": value}))


@pytest.mark.parametrize("name", ["Delta-2", "delta.2", "DELTA_2", "delta_2"])
def test_a_variable_finds_its_layer_whatever_the_case(load: Load, name: str) -> None:
    layers = load(
        f'[layers."{name}"]\nasset = "a"', {"TILESERVER_LAYERS__DELTA_2__TITLE": "T"}
    ).layers
    assert layers == (LayerSettings(name, "a", title="T"),)


def test_a_layer_may_have_a_double_underscore(load: Load) -> None:
    layers = load("[layers.a__b]\nasset = 'a'", {"TILESERVER_LAYERS__A__B__TITLE": "T"}).layers
    assert layers == (LayerSettings("a__b", "a", title="T"),)


def test_a_layer_can_come_from_the_environment_alone(load: Load) -> None:
    environ = {"TILESERVER_LAYERS__DEM__ASSET": "SRTM", "TILESERVER_LAYERS__DEM__MIN": "0"}
    assert load('[layers.z]\nasset = "a"', environ).layers == (
        LayerSettings("z", "a"),
        LayerSettings("dem", "SRTM", min=(0.0,)),
    )


def test_a_variable_changes_one_member_of_a_raster_of_the_file(load: Load) -> None:
    environ = {"TILESERVER_RASTERS__1__PREFIX": "projects/other-project/assets/x/"}
    rasters = load('[[rasters]]\npath = "/a"\n[[rasters]]\npath = "/b"', environ).rasters
    assert rasters == (RasterFolder("/a"), RasterFolder("/b", "projects/other-project/assets/x"))


def test_keys_of_file_and_environment_are_merged(load: Load) -> None:
    toml = '[access.keys]\nMap-App = "old"\nqgis = "q"'
    environ = {"TILESERVER_ACCESS__KEYS__MAP_APP": "new", "TILESERVER_ACCESS__KEYS__BOB": "b"}
    keys = load(toml, environ).access.keys
    assert keys == (("Map-App", "new"), ("qgis", "q"), ("bob", "b"))


def test_overrides_reach_layers_and_rasters(load: Load) -> None:
    config = load(
        '[layers."a.b"]\nasset = "a"', {}, {"layers.a.b.title": "T", "rasters.0.path": "x.tif"}
    )
    assert config.layers == (LayerSettings("a.b", "a", title="T"),)
    assert config.rasters == (RasterFolder("x.tif"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TILESERVER_PORT", "tcp://10.0.0.1:80"),
        ("TILESERVER_SERVICE_HOST", "10.0.0.1"),
        ("TILESERVER_SERVICE_PORT_HTTP", "80"),
        ("TILESERVER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("TILESERVER_REDIS_PORT", "tcp://10.0.0.2:6379"),
        ("TILESERVER_REDIS_PORT_6379_TCP", "tcp://10.0.0.2:6379"),
    ],
)
def test_variables_that_kubernetes_sets_for_a_service_are_ignored(
    load: Load, name: str, value: str
) -> None:
    assert load(None, {name: value}) == Config()


def test_a_secret_never_shows_in_repr(load: Load) -> None:
    config = load(
        f"[cache]\nurl = 'rediss://:{SECRET}@host:1/0'\n[access]\nkeys = {{ a = '{SECRET}' }}"
    )
    assert config.cache.url == f"rediss://:{SECRET}@host:1/0"
    assert config.access.keys == (("a", SECRET),)
    for each in (config, config.cache, config.access):
        assert SECRET not in repr(each)
        assert SECRET not in str(each)


def test_secrets_are_looked_up_by_reference(load: Load) -> None:
    access = load("[access]\nkeys = { a = 'env:A_KEY', b = 'literal' }").access
    assert access.secrets({"A_KEY": "from outside"}) == {"a": "from outside", "b": "literal"}
    with pytest.raises(ConfigError, match=r"^A_KEY: expected the secret of access key 'a', got no"):
        access.secrets({"A_KEY": ""})


def test_every_setting_is_described() -> None:
    rows = describe()
    assert all(all(row) for row in rows)
    assert len({row.key for row in rows}) == len(rows)
    assert {"server.port", "rasters[].path", "cache.memory", "access.keys.NAME"} <= {
        row.key for row in rows
    }


def test_described_defaults_are_what_a_user_would_write(load: Load) -> None:
    """Writing every default into a file changes nothing, so the documentation is right."""
    rows = [row for row in describe() if row.default not in {"none", "required"}]
    tables = [row for row in rows if row.key.count(".") == 1 and "[]" not in row.key]
    lines = [f"{row.key} = {row.default}" for row in tables]
    assert len(lines) >= 8
    config = load("\n".join([*lines, 'earth_engine.project = "my-project"']))
    assert config == Config(earth_engine=EarthEngineSettings("my-project"))


def test_the_folder_of_graphs_is_beside_the_file(load: Load) -> None:
    api = load('[api]\nenabled = false\ngraphs = "state/graphs"').api
    assert api == ApiSettings(False, "state/graphs")
    assert load(environ={"TILESERVER_API__ENABLED": "off"}).api == ApiSettings(False)
