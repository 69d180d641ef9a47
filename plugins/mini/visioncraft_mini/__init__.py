"""visioncraft-mini: a small text-to-image model whose weights travel in the package."""
