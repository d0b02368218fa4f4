{{ lake_rows('index_prices') }}
