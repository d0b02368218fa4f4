{{ lake_rows('option_chain') }}
