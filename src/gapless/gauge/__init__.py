"""The polar gauge of a dual point, from below by search and from above by proof."""
