"""AUTOMATIC1111's API, as a plugin of VisionCraft Pro."""
