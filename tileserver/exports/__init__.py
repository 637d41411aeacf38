"""Exports of images and tables to local files, as tasks that end."""
