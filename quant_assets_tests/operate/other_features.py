"""The command line of another version of the code: one feature's values have changed, and its version was raised with them."""

from __future__ import annotations

import dataclasses

from quant_assets.features import momentum

momentum.FEATURES = (dataclasses.replace(momentum.FEATURES[0], version=momentum.FEATURES[0].version + 1), *momentum.FEATURES[1:])

if __name__ == "__main__":
    from quant_assets.cli.app import main  # after the change: the catalogue hashes its features as it is imported

    main()
