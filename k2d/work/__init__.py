"""Work that survives being killed: step, lock, journal, jobs, and where a thing came from."""
