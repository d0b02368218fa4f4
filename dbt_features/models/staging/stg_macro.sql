{{ lake_rows('macro') }}
