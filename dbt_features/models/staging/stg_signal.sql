{{ lake_rows('signal') }}
