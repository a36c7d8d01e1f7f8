"""The training room."""

# Before torch: it says how long threads wait in a loop.
from MedEnhanceLib import engine as engine
