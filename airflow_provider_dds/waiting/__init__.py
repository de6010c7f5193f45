"""Waits: when to poll again, what is remembered from poll to poll, how a wait ends."""
