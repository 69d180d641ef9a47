"""Tests that every generator and every gallery passes, as classes to inherit from."""
