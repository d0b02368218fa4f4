{{ lake_rows('prices') }}
