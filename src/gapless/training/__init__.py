"""Column generation on the dual: networks, paths of them, interpolation."""
