"""`python -m tileserver` is `tileserver`."""

import signal


def main() -> None:
    """Run the command; until it has begun, Ctrl-C ends the process.

    While modules are imported, Python loses a KeyboardInterrupt that is raised in a callback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tileserver.server.cli import main as run

    run(prog_name="tileserver")


if __name__ == "__main__":
    main()
