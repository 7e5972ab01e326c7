"""Use of trained models: runtimes, latency and memory, export, prediction."""
