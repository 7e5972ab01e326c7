"""The drawings of the built-in data set: cartoon cats and dogs."""
