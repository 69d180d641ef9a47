"""ComfyUI's API, as a plugin of VisionCraft Pro."""
