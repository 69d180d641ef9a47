"""Wall: a plugin for VisionCraft Pro."""
