"""Files on disk: the cache, a run's records and arrays, and the run's folder."""
