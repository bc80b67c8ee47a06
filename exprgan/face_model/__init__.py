"""The face model: a registered 3-D face whose expression is moved by shapes, and what it does to a photo."""
