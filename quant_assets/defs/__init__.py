"""The shell: the library's steps as Dagster assets, jobs and runs. No maths here, and no dagster outside."""

import warnings

import dagster as dg

# Partition mappings and dagster-pandas columns are in beta and have no stable substitute; the constraints file pins them.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
