{{ lake_rows('holders') }}
