"""What plugins that draw share: models kept in memory, and what is known of devices."""
