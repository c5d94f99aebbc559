"""`python -m gridnode` is `gridnode`."""

from gridnode.cli import main

main()
