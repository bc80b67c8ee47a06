"""Change the expression of the faces in a photo and leave the rest of the photo alone."""

__version__ = "0.1.0"
