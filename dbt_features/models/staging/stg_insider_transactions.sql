{{ lake_rows('insider_transactions') }}
