"""The wait for one backup job: what is observed, which rows are the job's own, and the verdict. Pure."""
