"""`python -m meshroute`."""

from meshroute.cli import main

main()
