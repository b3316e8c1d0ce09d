"""Neural networks in the process: torch, Keras, transformers, diffusers."""
