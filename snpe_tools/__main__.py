"""`python -m snpe_tools`."""

from snpe_tools.cli.main import main

main()
