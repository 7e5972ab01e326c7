"""A plan carried out: what is missing is run, in processes, and every trial ends in a record."""
