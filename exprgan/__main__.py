"""`python -m exprgan` is `exprgan`."""

from exprgan.cli import main

main()
