"""Prompts to embeddings: weights in prompts, text encoders and textual inversion."""
