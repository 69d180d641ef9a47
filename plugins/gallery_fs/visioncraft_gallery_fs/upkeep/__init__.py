"""Upkeep: checking, removing, and the limits on how much is kept."""
