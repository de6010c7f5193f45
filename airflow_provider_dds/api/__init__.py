"""What the service understands and says: requests, models, error codes, addresses of its console. No I/O."""
