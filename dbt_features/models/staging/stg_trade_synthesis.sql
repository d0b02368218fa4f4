{{ lake_rows('trade_synthesis') }}
