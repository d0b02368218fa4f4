{{ lake_rows('quality_log') }}
