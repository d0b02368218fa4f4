{{ lake_rows('oos_predictions') }}
