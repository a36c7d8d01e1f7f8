"""The parts of the benchmark that need torch and monai."""
