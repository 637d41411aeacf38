"""Rasters, arrays and Earth Engine's images on a map in a notebook: `tileserver.show`.

Nothing of the server imports this package. What it draws with, ipyleaflet and anywidget or
folium, is imported when a map is made.
"""

from tileserver.notebook.background import close
from tileserver.notebook.maps import show

__all__ = ["close", "show"]
