"""Exactly-once requests for a backup, without I/O: the record, the evidence, and what follows from the two.

CreateBackup takes no idempotency token. So the intent is recorded before the request and the job id after it; a
request whose fate is unknown is settled by looking for a job that can be its own.
"""
