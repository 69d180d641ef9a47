"""Images of other programs, brought into the gallery."""
