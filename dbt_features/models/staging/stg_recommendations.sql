{{ lake_rows('recommendations') }}
