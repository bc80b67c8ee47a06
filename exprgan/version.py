"""The version of exprgan, for the packaging and for the record in files that it writes."""

__version__ = "0.1.0"
