{{ lake_rows('earnings') }}
