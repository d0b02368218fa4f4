{{ lake_rows('fundamentals') }}
