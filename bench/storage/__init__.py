"""What lies on disk: the cache, a run's records and arrays, its folder."""
