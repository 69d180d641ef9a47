"""Shoebox: a plugin for VisionCraft Pro."""
