"""The geometry teacher: pseudo ground truth of a person in any expression, for training alone."""
