"""One archive that holds everything a home has stored, and its way back into an empty home.

`stores.py` says what is kept and what is not, `archive.py` is the file itself, `save.py` and `restore.py` are the two directions,
`relocate.py` makes MLflow find its artifacts in another folder. What the terminal shows is `cli/backup.py`'s business.
"""

from quant_assets.backup.restore import Restored, restore
from quant_assets.backup.save import Saved, save

__all__ = ["Restored", "Saved", "restore", "save"]
