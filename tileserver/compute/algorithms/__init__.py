"""The algorithms of Earth Engine that there are, one module a family.

Each registers itself with `registry.algorithm`; importing this package imports them all.
"""

from tileserver.compute.algorithms import arithmetic as arithmetic
from tileserver.compute.algorithms import bands as bands
from tileserver.compute.algorithms import casts as casts
from tileserver.compute.algorithms import dates as dates
from tileserver.compute.algorithms import features as features
from tileserver.compute.algorithms import geometries as geometries
from tileserver.compute.algorithms import projections as projections
from tileserver.compute.algorithms import shapes as shapes
