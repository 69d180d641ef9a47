"""Where generators run: worker processes or the event loop, and the messages between server and worker."""
