"""Loading of checkpoints into memory."""
