"""The algorithms of Earth Engine that there are, one module a family.

Each registers itself with `registry.algorithm`; importing this package imports them all.
"""

from tileserver.compute.algorithms import aggregates as aggregates
from tileserver.compute.algorithms import arithmetic as arithmetic
from tileserver.compute.algorithms import bands as bands
from tileserver.compute.algorithms import casts as casts
from tileserver.compute.algorithms import clips as clips
from tileserver.compute.algorithms import collections as collections
from tileserver.compute.algorithms import composites as composites
from tileserver.compute.algorithms import coverings as coverings
from tileserver.compute.algorithms import dates as dates
from tileserver.compute.algorithms import dictionaries as dictionaries
from tileserver.compute.algorithms import features as features
from tileserver.compute.algorithms import filterformulas as filterformulas
from tileserver.compute.algorithms import filters as filters
from tileserver.compute.algorithms import formulas as formulas
from tileserver.compute.algorithms import geometries as geometries
from tileserver.compute.algorithms import lists as lists
from tileserver.compute.algorithms import mapping as mapping
from tileserver.compute.algorithms import masks as masks
from tileserver.compute.algorithms import numbers as numbers
from tileserver.compute.algorithms import pixels as pixels
from tileserver.compute.algorithms import places as places
from tileserver.compute.algorithms import projecting as projecting
from tileserver.compute.algorithms import projections as projections
from tileserver.compute.algorithms import reducers as reducers
from tileserver.compute.algorithms import reducing as reducing
from tileserver.compute.algorithms import regions as regions
from tileserver.compute.algorithms import scaling as scaling
from tileserver.compute.algorithms import searches as searches
from tileserver.compute.algorithms import series as series
from tileserver.compute.algorithms import shapes as shapes
from tileserver.compute.algorithms import texts as texts
from tileserver.compute.algorithms import visualizing as visualizing
from tileserver.compute.algorithms import whereabouts as whereabouts
