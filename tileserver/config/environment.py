"""Settings from the environment and the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tileserver.config.fields import (
    Given,
    KeyPath,
    Schema,
    Section,
    Shape,
    Values,
    nearest,
    unexpected,
)
from tileserver.config.kinds import table_from_text
from tileserver.errors import ConfigError

PREFIX = "TILESERVER_"
PLAIN_VARIABLES: Mapping[str, KeyPath] = {"HOST": ("server", "host"), "PORT": ("server", "port")}
"""What hosting platforms set; a variable with our prefix goes over them."""

# Kubernetes puts these into every container when a Service is called tileserver or
# tileserver-something: https://kubernetes.io/docs/concepts/services-networking/service/
_SERVICE_LINK = re.compile(
    r"TILESERVER_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")


def gather_environment(values: Values, schema: Schema, environ: Mapping[str, str]) -> None:
    """Put the values of environment variables into `values`; an empty variable is not set.

    Raises:
        ConfigError: a variable with our prefix is no setting.
    """
    for name, path in PLAIN_VARIABLES.items():
        if environ.get(name):
            values.put(path, Given(environ[name], name, is_text=True), name)
    names = _Names(values, schema, "__", is_exact=False)
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        if _is_service_link(name, environ[name]):
            continue
        found = names.locate(name.removeprefix(PREFIX).split("__"), name)
        if found is None:
            raise _unknown_variable(name, schema)
        if environ[name]:
            _put(values, schema, found, Given(environ[name], name, is_text=True))


def gather_overrides(values: Values, schema: Schema, overrides: Mapping[str, object]) -> None:
    """Put what the command line says into `values`; None is not set.

    Args:
        values: Where to.
        schema: The sections that exist.
        overrides: By dotted key: {"server.port": 8080}.

    Raises:
        ConfigError: a key is no setting.
    """
    names = _Names(values, schema, ".", is_exact=True)
    for key, value in overrides.items():
        if value is None:
            continue
        flag = f"--{key.rpartition('.')[2].replace('_', '-')}"
        path = names.locate(key.split("."), flag)
        if path is None:
            raise ConfigError(f"{flag}: unknown setting {key!r}")
        _put(values, schema, path, Given(value, flag, is_text=isinstance(value, str)))


def _put(values: Values, schema: Schema, path: KeyPath, given: Given) -> None:
    each = schema[path[0]].settings[path[-1]] if len(path) == 2 else None
    if each is None or not each.is_mapping:
        values.put(path, given, given.place)
        return
    try:
        raw = given.value
        table = table_from_text(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise unexpected(given, 'a table such as {"name": "env:NAME"}', is_secret=each.is_secret)
    for name, value in table.items():
        values.put((*path, name), Given(value, given.place), given.place)


@dataclass(frozen=True, slots=True)
class _Names:
    """Finds the setting that a variable or a dotted key means."""

    values: Values
    schema: Schema
    separator: str
    is_exact: bool
    """False in the environment: DELTA_2 may be the layer "Delta-2"."""

    def locate(self, parts: Sequence[str], source: str) -> KeyPath | None:
        """Return the path of a setting, or None when there is none."""
        name, *rest = parts if self.is_exact else [parts[0].lower(), *parts[1:]]
        if name not in self.schema or not rest:
            return None
        part = self.schema[name]
        if part.shape is Shape.TABLE:
            return self._in_table(name, part, rest, source)
        # A layer's name may hold the separator itself; its keys never do.
        key = self._key(rest[-1])
        owner = self.separator.join(rest[:-1])
        if not owner or key not in part.settings:
            return None
        if part.shape is Shape.LIST:
            # Four digits are plenty, and "007" would be another entry than "7".
            is_index = re.fullmatch(r"0|[1-9][0-9]{0,3}", owner)
            return (name, owner, key) if is_index else None
        return (name, self._chosen((name,), owner, source), key)

    def _in_table(
        self, name: str, part: Section, rest: Sequence[str], source: str
    ) -> KeyPath | None:
        key = self._key(rest[0])
        if key not in part.settings:
            return None
        if len(rest) == 1:
            return (name, key)
        if not part.settings[key].is_mapping:
            return None
        return (name, key, self._chosen((name, key), self.separator.join(rest[1:]), source))

    def _key(self, text: str) -> str:
        return text if self.is_exact else text.lower()

    def _chosen(self, at: KeyPath, written: str, source: str) -> str:
        """Return the name below `at` that is meant: one that exists, or else a new one."""
        known = self.values.below(at)
        if self.is_exact or written in known:
            return written
        alike = [each for each in known if _folded(each) == _folded(written)]
        if len(alike) > 1:
            raise ConfigError(f"{source}: may mean any of {', '.join(alike)}")
        return alike[0] if alike else written.lower()


def _folded(name: str) -> str:
    """Return a name as an environment variable can hold it."""
    return re.sub(r"[-.]", "_", name).upper()


def _is_service_link(name: str, value: str) -> bool:
    if "__" in name:
        return False
    is_address = name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value) is not None
    return is_address or _SERVICE_LINK.fullmatch(name) is not None


def _unknown_variable(name: str, schema: Schema) -> ConfigError:
    known = list(_variables(schema, name))
    # A key alone says more than a likeness: TILESERVER_PORT means the one setting "port".
    ending = [each for each in known if each.endswith(f"__{name.removeprefix(PREFIX)}")]
    similar = ending[0] if ending else nearest(name, known)
    hint = f", did you mean {similar}?" if similar else ""
    return ConfigError(f"{name}: unknown setting{hint}")


def _variables(schema: Schema, name: str) -> Iterator[str]:
    """Yield every variable there is, with the layer or index that `name` has."""
    middle = "__".join(name.removeprefix(PREFIX).split("__")[1:-1])
    for section_name, part in schema.items():
        owner = {
            Shape.TABLE: [],
            Shape.LIST: [middle if middle.isdecimal() else "0"],
            Shape.NAMED: [middle or "NAME"],
        }[part.shape]
        for key in part.settings:
            yield PREFIX + "__".join([section_name.upper(), *owner, key.upper()])
