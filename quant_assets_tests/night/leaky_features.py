"""The command line of a version of the code with a leak: one feature is the return of the session to come."""

from __future__ import annotations

import dataclasses

from quant_assets.features import momentum

leak = dataclasses.replace(momentum.FEATURES[0], expression=momentum.FEATURES[0].expression.shift(-1), version=99)
momentum.FEATURES = (leak, *momentum.FEATURES[1:])

if __name__ == "__main__":
    from quant_assets.cli.app import main  # after the change: the catalogue hashes its features as it is imported

    main()
