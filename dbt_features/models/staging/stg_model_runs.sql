{{ lake_rows('model_runs') }}
