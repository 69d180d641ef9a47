"""The web page, as a plugin of VisionCraft Pro."""
