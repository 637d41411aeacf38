"""Our server before a stand-in for Earth Engine, over real sockets from end to end."""
