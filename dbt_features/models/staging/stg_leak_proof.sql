{{ lake_rows('leak_proof') }}
