{{ lake_rows('quality_scorecard') }}
