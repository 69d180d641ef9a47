"""Model Context Protocol, as a plugin of VisionCraft Pro."""
