{{ lake_rows('daily_report') }}
