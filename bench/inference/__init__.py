"""A trained model in use: runtimes, latency and memory, export, prediction."""
