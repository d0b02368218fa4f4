{{ lake_rows('threshold_sweep') }}
