"""The algorithms of Earth Engine that there are, one module a family.

Each registers itself with `registry.algorithm`; importing this package imports them all.
"""

from tileserver.compute.algorithms import arithmetic as arithmetic
from tileserver.compute.algorithms import bands as bands
from tileserver.compute.algorithms import casts as casts
from tileserver.compute.algorithms import clips as clips
from tileserver.compute.algorithms import formulas as formulas
from tileserver.compute.algorithms import masks as masks
from tileserver.compute.algorithms import places as places
from tileserver.compute.algorithms import projecting as projecting
from tileserver.compute.algorithms import scaling as scaling
from tileserver.compute.algorithms import visualizing as visualizing
