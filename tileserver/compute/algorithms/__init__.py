"""The implemented algorithms of Earth Engine, one module a family.

Each registers itself with `registry.algorithm`; importing this package imports them all.
"""

from tileserver.compute.algorithms.array import conversions as conversions
from tileserver.compute.algorithms.array import elementwise as elementwise
from tileserver.compute.algorithms.array import matrices as matrices
from tileserver.compute.algorithms.array import transformations as transformations
from tileserver.compute.algorithms.collection import aggregates as aggregates
from tileserver.compute.algorithms.collection import collections as collections
from tileserver.compute.algorithms.collection import composites as composites
from tileserver.compute.algorithms.collection import get_region as get_region
from tileserver.compute.algorithms.filter import filters as filters
from tileserver.compute.algorithms.filter import spatial as spatial
from tileserver.compute.algorithms.filter import text as text
from tileserver.compute.algorithms.geometry import constructors as constructors
from tileserver.compute.algorithms.geometry import covering_grid as covering_grid
from tileserver.compute.algorithms.geometry import features as features
from tileserver.compute.algorithms.geometry import methods as methods
from tileserver.compute.algorithms.geometry import projections as projections
from tileserver.compute.algorithms.image import arithmetic as arithmetic
from tileserver.compute.algorithms.image import bands as bands
from tileserver.compute.algorithms.image import casts as casts
from tileserver.compute.algorithms.image import clips as clips
from tileserver.compute.algorithms.image import color_spaces as color_spaces
from tileserver.compute.algorithms.image import coordinates as coordinates
from tileserver.compute.algorithms.image import displacing as displacing
from tileserver.compute.algorithms.image import expression as expression
from tileserver.compute.algorithms.image import focal as focal
from tileserver.compute.algorithms.image import masks as masks
from tileserver.compute.algorithms.image import neighbourhoods as neighbourhoods
from tileserver.compute.algorithms.image import painting as painting
from tileserver.compute.algorithms.image import random_pixels as random_pixels
from tileserver.compute.algorithms.image import relief as relief
from tileserver.compute.algorithms.image import reprojection as reprojection
from tileserver.compute.algorithms.image import scaling as scaling
from tileserver.compute.algorithms.image import styled_layers as styled_layers
from tileserver.compute.algorithms.image import terrain as terrain
from tileserver.compute.algorithms.image import visualizing as visualizing
from tileserver.compute.algorithms.join import joins as joins
from tileserver.compute.algorithms.kernel import shapes as shapes
from tileserver.compute.algorithms.kernel import weights as weights
from tileserver.compute.algorithms.reducer import compound as compound
from tileserver.compute.algorithms.reducer import groups as groups
from tileserver.compute.algorithms.reducer import linear as linear
from tileserver.compute.algorithms.reducer import reduce_region as reduce_region
from tileserver.compute.algorithms.reducer import samples as samples
from tileserver.compute.algorithms.reducer import simple as simple
from tileserver.compute.algorithms.reducer import tables as tables
from tileserver.compute.algorithms.value import dates as dates
from tileserver.compute.algorithms.value import dictionaries as dictionaries
from tileserver.compute.algorithms.value import list_functions as list_functions
from tileserver.compute.algorithms.value import list_search as list_search
from tileserver.compute.algorithms.value import lists as lists
from tileserver.compute.algorithms.value import numbers as numbers
from tileserver.compute.algorithms.value import pixel_type as pixel_type
from tileserver.compute.algorithms.value import texts as texts
