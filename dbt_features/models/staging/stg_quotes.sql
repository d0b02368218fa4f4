{{ lake_rows('quotes') }}
