"""Triggers: the waits that hold no worker."""
