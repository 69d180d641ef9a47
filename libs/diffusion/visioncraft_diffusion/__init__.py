"""What plugins that draw with diffusion models know in common, whatever engine they draw with."""
