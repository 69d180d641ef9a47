"""OpenAI's images API, as a plugin of VisionCraft Pro."""
