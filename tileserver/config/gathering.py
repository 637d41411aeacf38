"""Settings from a TOML file, the environment and the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tileserver.config.kinds import bracketed
from tileserver.config.tables import settings_of
from tileserver.config.values import LIST, REPEATED, Given, KeyPath, Values, shown, table_label
from tileserver.errors import ConfigError, nearest

PREFIX = "TILESERVER_"
PLAIN_VARIABLES: Mapping[str, KeyPath] = {
    "HOST": ("server", "host"),
    "PORT": ("server", "port"),
    "FORWARDED_ALLOW_IPS": ("server", "trusted_proxies"),
}
"""What hosting platforms set; a variable with our prefix goes over them."""

# Kubernetes puts these into every container when a Service is called tileserver or
# tileserver-something: https://kubernetes.io/docs/concepts/services-networking/service/
_SERVICE_LINK = re.compile(
    r"TILESERVER_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")


def gather_file(values: Values, path: Path) -> None:
    """Put the values of a TOML file into `values`.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has a value in place of a table.
    """
    source = str(path)
    for name, content in _parse_toml(_read_text(path), source).items():
        if name == LIST and not isinstance(content, list):
            expected = f"tables that begin with [[{LIST}]], got {shown(content)}"
            raise ConfigError(f"{source}: [{LIST}]: expected {expected}")
        values.put((name,), Given({} if name in values.tables else content, source, True))
        if name == LIST:
            content = {str(index): each for index, each in enumerate(content)}
        if name in REPEATED:
            for key, table in _members((name,), content, source).items():
                _put_table(values, (name, key), table, source)
        elif name in values.tables:
            _put_table(values, (name,), content, source)


def _put_table(values: Values, path: KeyPath, table: object, source: str) -> None:
    values.put(path, Given({}, source, True))
    for key, value in _members(path, table, source).items():
        at = (*path, key)
        setting = values.setting(at)
        if setting and setting.is_mapping and isinstance(value, dict):
            for name, each in value.items():
                values.put((*at, name), Given(each, source, True))
        else:
            values.put(at, Given(value, source, True))
            if setting and setting.is_mapping:
                raise values.unexpected(at, 'a table such as {name = "env:NAME"}')


def _members(path: KeyPath, content: object, source: str) -> Mapping[str, object]:
    if not isinstance(content, dict):
        # Not quoted: it may be a secret that was meant for a key inside.
        came = "text" if isinstance(content, str) else f"a value of type {type(content).__name__}"
        raise ConfigError(f"{source}: {table_label(path)}: expected a table, got {came}")
    return content


def _read_text(path: Path) -> str:
    """Return the text of a file, without the byte order mark that some editors write."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file, expected a TOML file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: expected a TOML file, got a folder") from None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise ConfigError(f"{path}: cannot be read: {reason}") from exc
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        wrong, place = (
            content[exc.start],
            _position(content[: exc.start].decode("utf-8", "replace")),
        )
    raise ConfigError(f"{path}: expected UTF-8 text, got the byte 0x{wrong:02x} {place}")


def _parse_toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        reason = re.sub(r"\(at end of document\)$", _position(text), str(exc))
    except (ValueError, RecursionError):
        reason = "a number or a nesting is too long"
    raise ConfigError(f"{name}: not valid TOML: {reason}")


def _position(before: str) -> str:
    """Return the line and column, both from 1, that follow this text."""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"(at line {line}, column {column})"


def gather_environment(values: Values, environ: Mapping[str, str]) -> None:
    """Put the values of environment variables into `values`; an empty variable is not set.

    Raises:
        ConfigError: a variable with our prefix is no setting.
    """
    for name, path in PLAIN_VARIABLES.items():
        if environ.get(name):
            values.put(path, Given(environ[name], name))
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        if _is_service_link(name, environ[name]):
            continue
        found = _locate(values, name.removeprefix(PREFIX).split("__"), name, "__")
        if found is None:
            raise _unknown_variable(name, values)
        if environ[name]:
            _put(values, found, Given(environ[name], name))


def gather_overrides(values: Values, overrides: Mapping[str, object]) -> None:
    """Put the options of the command line into `values`; None is not set.

    Args:
        values: Where to.
        overrides: By dotted key: {"server.port": 8080}.

    Raises:
        ConfigError: a key is no setting.
    """
    for key, value in overrides.items():
        flag = f"--{key.rpartition('.')[2].replace('_', '-')}"
        if value is None:
            continue
        path = _locate(values, key.split("."), flag, ".")
        if path is None:
            raise ConfigError(f"{flag}: unknown setting {key!r}")
        _put(values, path, Given(value, flag))


def _put(values: Values, path: KeyPath, given: Given) -> None:
    setting = values.setting(path)
    if setting is None or not setting.is_mapping or len(path) > 2:
        values.put(path, given)
        return
    try:
        table = bracketed(given.value) if isinstance(given.value, str) else given.value
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        values.put(path, given)
        raise values.unexpected(path, 'a table such as {"name": "env:NAME"}')
    for name, value in table.items():
        values.put((*path, name), Given(value, given.source))


def _locate(values: Values, parts: Sequence[str], source: str, separator: str) -> KeyPath | None:
    """Return the path of a setting, or None when there is none.

    A variable ("__" separates) has no case, and DELTA_2 may be the layer "Delta-2".
    """
    is_variable = separator == "__"
    name, *rest = [parts[0].lower(), *parts[1:]] if is_variable else parts
    if name not in values.tables or not rest:
        return None
    known = settings_of(values.tables[name])
    # A layer's name may hold the separator itself; its keys never do.
    *owners, last = rest if name in REPEATED else rest[:1]
    key = last.lower() if is_variable else last
    owner = separator.join(owners)
    if key not in known or (name in REPEATED and not owner):
        return None
    if name == LIST:
        # Four digits are plenty, and "007" would be another entry than "7".
        return (name, owner, key) if re.fullmatch(r"0|[1-9][0-9]{0,3}", owner) else None
    if name in REPEATED:
        return (name, _chosen(values, (name,), owner, source, is_variable), key)
    if len(rest) == 1:
        return (name, key)
    inner = separator.join(rest[1:])
    is_mapping = known[key].is_mapping
    return (
        (name, key, _chosen(values, (name, key), inner, source, is_variable))
        if is_mapping
        else None
    )


def _chosen(values: Values, at: KeyPath, text: str, source: str, is_variable: bool) -> str:
    """Return the name below `at` that is meant: one that exists, or else a new one."""
    known = values.below(at)
    if not is_variable or text in known:
        return text
    alike = [each for each in known if _folded(each) == _folded(text)]
    if len(alike) > 1:
        raise ConfigError(f"{source}: may mean any of {', '.join(alike)}")
    return alike[0] if alike else text.lower()


def _folded(name: str) -> str:
    """Return a name as an environment variable can hold it."""
    return re.sub(r"[-.]", "_", name).upper()


def _is_service_link(name: str, value: str) -> bool:
    if "__" in name:
        return False
    is_address = name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value) is not None
    return is_address or _SERVICE_LINK.fullmatch(name) is not None


def _unknown_variable(name: str, values: Values) -> ConfigError:
    known = list(_variables(values, name))
    # A key alone says more than a likeness: TILESERVER_PORT means the one setting "port".
    ending = [each for each in known if each.endswith(f"__{name.removeprefix(PREFIX)}")]
    similar = ending[0] if ending else nearest(name, known)
    hint = f", did you mean {similar}?" if similar else ""
    return ConfigError(f"{name}: unknown setting{hint}")


def _variables(values: Values, name: str) -> Iterator[str]:
    """Yield every variable there is, with the layer or index that `name` has."""
    middle = "__".join(name.removeprefix(PREFIX).split("__")[1:-1])
    for section, table in values.tables.items():
        owner = [middle or "NAME"] if section in REPEATED else []
        if section == LIST:
            owner = [middle if middle.isdecimal() else "0"]
        for key in settings_of(table):
            yield PREFIX + "__".join([section.upper(), *owner, key.upper()])
