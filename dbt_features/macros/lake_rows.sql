{#
  The rows of one table of the lake with the columns its model declares: a column that older files lack reads as null, one that is no
  longer declared is left out, and a table that was never written has no rows. `lake` is the lake's folder, escaped for a glob.
#}
{% macro lake_rows(table) -%}
  {%- do source('lake', table) -%}
  {%- set files = "'" ~ (var('lake', '') ~ '/' ~ table ~ '/year=[0-9][0-9][0-9][0-9]/part.parquet') | replace("'", "''") ~ "'" -%}
  {%- set stored = execute and run_query('select count(*) from glob(' ~ files ~ ')').rows[0][0] > 0 -%}
  select
    {%- for name in model.columns %}
    "{{ name }}"{{ ',' if not loop.last }}
    {%- endfor %}
  from (
    select
    {%- for name, column in model.columns.items() %}
      null::{{ column.data_type }} as "{{ name }}"{{ ',' if not loop.last }}
    {%- endfor %}
    where false
    {%- if stored %}
    union all by name
    select * from read_parquet({{ files }}, union_by_name = true, hive_partitioning = false)
    {%- endif %}
  )
{%- endmacro %}
