{{ lake_rows('quarantine') }}
