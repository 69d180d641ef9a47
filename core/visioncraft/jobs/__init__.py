"""Jobs: one behind every picture, with an id, that can be watched and cancelled."""
