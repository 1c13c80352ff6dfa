"""`python -m axis`: the command line, also where no script `axis` is installed."""

from axis.cli.main import main

main()
