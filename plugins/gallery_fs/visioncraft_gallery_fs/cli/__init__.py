"""The commands `visioncraft gallery …`."""
