"""The hook, and the only place that knows the Alibaba Cloud SDK."""
