{{ lake_rows('company_info') }}
