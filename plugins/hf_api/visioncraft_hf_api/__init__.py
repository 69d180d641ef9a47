"""Hugging Face's inference API, as a plugin of VisionCraft Pro."""
