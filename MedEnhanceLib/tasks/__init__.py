"""One file per task, each telling its story from input to result."""
