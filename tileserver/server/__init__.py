"""The commands, the application put together, uvicorn, and getPixels for Python."""
