{{ lake_rows('features') }}
