"""The bytes of images: PNG with its metadata, and the decoding of what clients send."""
