"""Weights that somebody else trained: found, checked and read, with their tokenizer and what is known of their making.

`open_weights(spec)` takes a Hugging Face folder, a GGUF file, a package that holds one of them, or a hub id. Nothing in them is
ever run.
"""

from genwright.weights.base import Origin, TensorFiles, Weights
from genwright.weights.opening import identify, open_weights

__all__ = ["Origin", "TensorFiles", "Weights", "identify", "open_weights"]
