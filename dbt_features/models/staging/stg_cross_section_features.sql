{{ lake_rows('cross_section_features') }}
