"""Detection, dense landmarks and alignment of faces."""
