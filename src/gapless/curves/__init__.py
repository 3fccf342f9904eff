"""One-dimensional data: exact networks, which are linear splines."""
