"""`python -m tileserver` is `tileserver`."""

from tileserver.cli import main

main(prog_name="tileserver")
