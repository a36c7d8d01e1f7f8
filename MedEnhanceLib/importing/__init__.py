"""Models of the user's own, brought into the folder where the catalogue looks for them.

Importing reads and copies files, and never executes anything in them; nor does it grant trust. What
is refused leaves nothing behind.
"""

from MedEnhanceLib.importing.bundles import import_bundle
from MedEnhanceLib.importing.form import NetworkForm
from MedEnhanceLib.importing.networks import import_network

__all__ = ["NetworkForm", "import_bundle", "import_network"]
