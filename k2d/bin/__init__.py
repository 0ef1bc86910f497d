"""One small command for each step of a stage: argument parsing here, work elsewhere."""
