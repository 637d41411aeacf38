"""An application on a real port: uvicorn in a thread, as the package itself has it."""

from tileserver.server.serving import served as serve

__all__ = ["serve"]
