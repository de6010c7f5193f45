"""Where a credential comes from: one file for each kind of source, each a function that asks once."""
