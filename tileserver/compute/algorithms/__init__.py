"""The algorithms of Earth Engine that there are, one module a family.

Each registers itself with `registry.algorithm`; importing this package imports them all.
"""

from tileserver.compute.algorithms import arithmetic as arithmetic
from tileserver.compute.algorithms import bands as bands
from tileserver.compute.algorithms import casts as casts
from tileserver.compute.algorithms import coverings as coverings
from tileserver.compute.algorithms import dates as dates
from tileserver.compute.algorithms import dictionaries as dictionaries
from tileserver.compute.algorithms import features as features
from tileserver.compute.algorithms import geometries as geometries
from tileserver.compute.algorithms import lists as lists
from tileserver.compute.algorithms import mapping as mapping
from tileserver.compute.algorithms import numbers as numbers
from tileserver.compute.algorithms import pixels as pixels
from tileserver.compute.algorithms import projections as projections
from tileserver.compute.algorithms import searches as searches
from tileserver.compute.algorithms import shapes as shapes
from tileserver.compute.algorithms import texts as texts
