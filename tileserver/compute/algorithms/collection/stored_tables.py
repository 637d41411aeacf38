"""Stored tables: files of features below the roots, as collections.

Edges of their geometries are straight in longitude and latitude, and `system:index` is the file's
own, or the place of the feature in the file in 20 hexadecimal digits. Filters by bounds and by
properties look at boxes and columns first, and at features only where these leave it open.
"""

from __future__ import annotations

from tileserver.compute.context import Context
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import INDEX
from tileserver.compute.values.stored_features import StoredFeatures
from tileserver.contract.names import short_name
from tileserver.errors import AssetNotFound, InvalidRequest


@algorithm(
    "Collection.loadTable(tableId: String, geometryColumn: String = null, version: Long = -1.0)"
    " -> FeatureCollection"
)
def load_table(
    context: Context, table_id: str, geometry_column: str | None, version: int | None
) -> Collection:
    """Return the features of a stored table.

    `geometryColumn` names the property with the geometries, of which a file has one: another name
    is refused. `version` is ignored: files have only the present one.
    """
    try:
        table = context.world.find_table(table_id)
    except AssetNotFound as exc:
        if kind := context.kind_of(table_id):
            raise InvalidRequest(
                f"Expected asset '{table_id[:200]}' to be a Collection, found '{kind}'."
            ) from exc
        raise InvalidRequest(
            f"Collection asset '{table_id[:200]}' not found (does not exist or caller does not "
            "have access)."
        ) from exc
    if geometry_column not in (None, "", "geo", ".geo", "geometry"):
        raise InvalidRequest(
            f"The table has one column of geometries, 'geometry', got {geometry_column[:60]!r}."
        )
    context.budget.check_time()
    columns = {name: column.type_name for name, column in table.columns.items()}
    return Collection(
        "FeatureCollection",
        StoredFeatures(table),
        short_name(table.name),
        columns=dict(sorted({**columns, INDEX: "String"}.items())),
    )
