{{ lake_rows('signal_quality') }}
