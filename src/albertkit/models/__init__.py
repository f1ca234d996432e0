"""The model in each framework; the packages never import one another."""
