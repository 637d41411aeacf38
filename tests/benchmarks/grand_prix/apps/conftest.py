"""The modules here are servers of their own, some with libraries of other environments."""

collect_ignore_glob = ["*.py"]
