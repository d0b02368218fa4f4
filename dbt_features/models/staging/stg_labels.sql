{{ lake_rows('labels') }}
