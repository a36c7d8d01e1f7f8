"""Everything that needs torch or monai. Import from here only lazily, inside functions."""

import os

# On Linux torch's threads wait for one another in a loop, which is read when torch is loaded. Where
# another program wants the processor too, the one that waits keeps it from the one that works: on
# two cores with one busy program a network took 27 times as long. So short a loop costs nothing.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
