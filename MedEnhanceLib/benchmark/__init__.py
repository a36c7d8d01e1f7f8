"""How fast and how frugal the engine is on this machine; what `medenhance benchmark` measures."""
