{{ lake_rows('equity') }}
