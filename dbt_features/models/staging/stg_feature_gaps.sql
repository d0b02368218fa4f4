{{ lake_rows('feature_gaps') }}
