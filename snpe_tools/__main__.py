"""The console script `snpe-tools`, and `python -m snpe_tools`."""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run a command. Ctrl-C is answered without a traceback, even while modules are still being imported."""
    try:
        from snpe_tools.cli.main import main as run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Nothing half-written was kept.\n")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
