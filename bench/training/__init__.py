"""One backbone trained: frozen features, phases, seeds and learning rates."""
