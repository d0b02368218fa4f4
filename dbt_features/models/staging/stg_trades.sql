{{ lake_rows('trades') }}
