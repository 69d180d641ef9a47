"""Gemini's image API, as a plugin of VisionCraft Pro."""
