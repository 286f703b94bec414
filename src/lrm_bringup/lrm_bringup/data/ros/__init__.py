"""What of the bags needs the message types."""
