"""Leonardo.ai for VisionCraft: pictures from the cloud, each paid for once at most."""
