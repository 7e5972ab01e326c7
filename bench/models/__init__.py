"""A declared backbone as a network: its weights, where it may be cut, and the Keras backends."""
