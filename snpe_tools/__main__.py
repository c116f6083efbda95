"""The console script `snpe-tools`, and `python -m snpe_tools`."""

import sys

from snpe_tools.cli.signals import catch_sigterm, end_of_interruption


def main() -> None:
    """Run a command. Ctrl-C is answered without a traceback, even while modules are still being imported."""
    catch_sigterm()
    try:
        from snpe_tools.cli.main import keep_only_the_named_command
        from snpe_tools.cli.main import main as run_command

        keep_only_the_named_command(sys.argv[1:])
        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Nothing half-written was kept.\n")
        sys.exit(end_of_interruption())


if __name__ == "__main__":
    main()
