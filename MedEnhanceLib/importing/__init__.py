"""Models of the user's own, brought into the folder where the catalogue looks for them.

Importing reads and copies files, and never executes anything in them; nor does it grant trust. What
is refused leaves nothing behind.
"""

from MedEnhanceLib.importing.bundles import import_bundle

__all__ = ["import_bundle"]
