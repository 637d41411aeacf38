"""Earth Engine image assets and your own GeoTIFFs as map tiles whose URLs never expire."""

from tileserver.server.get_pixels import get_pixels

__all__ = ["get_pixels"]
