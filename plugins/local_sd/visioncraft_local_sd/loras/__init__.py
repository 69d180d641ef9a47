"""LoRAs: their files, the layers they change, and adding them to a model's weights."""
