"""The backups of an instance, whoever made them: one row each, and whether it is good."""
