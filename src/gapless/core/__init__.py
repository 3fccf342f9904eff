"""Values that everything else is about: losses, problems, networks, certificates."""
