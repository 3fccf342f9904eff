"""How far from optimal a network trained elsewhere is, and what to do about it."""
