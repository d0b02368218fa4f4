{#
  A long table (ticker, session, measures) as one row a measure and session, one column a ticker. The columns come from the universe, so
  no contract can name them: the test `agrees_with_long` holds them to the long table instead.
#}
{% macro wide(long) -%}
  {%- set measures = [] -%}
  {%- set tickers = [] -%}
  {%- if execute -%}
    {%- for column in adapter.get_columns_in_relation(long) if column.name not in ('ticker', 'session') -%}
      {%- do measures.append(column.quoted) -%}
    {%- endfor -%}
    {%- do tickers.extend(tickers_of(long)) -%}
  {%- endif -%}
  with rebuilt as (
    select narrow.*
    from {{ long }} as narrow
    join {{ ref('sessions') }} as sessions using (session)
    where {{ is_rebuilt('sessions.session_number') }}
  )

  select measure, session{% for ticker in tickers %}, "{{ ticker }}"{% endfor %}
  from (
    {%- if tickers %}
    select measure, session, ticker, value
    from rebuilt unpivot include nulls (value for measure in ({{ measures | join(', ') }}))
  ) pivot (
    any_value(value) for ticker in ({% for ticker in tickers %}'{{ ticker }}'{{ ', ' if not loop.last }}{% endfor %})
    group by measure, session
    {%- else %}
    select null::varchar as measure, null::date as session where false
    {%- endif %}
  )
  order by measure, session
{%- endmacro %}

{% macro tickers_of(long) -%}
  {{ return(run_query('select distinct ticker from ' ~ long ~ ' order by ticker').columns[0].values() if execute else []) }}
{%- endmacro %}

{% macro comment_tickers(long) -%}
  {%- for ticker in tickers_of(long) -%}
    comment on column {{ this }}."{{ ticker }}" is 'the measure of {{ ticker }}; null where {{ ticker }} has none';
  {%- endfor -%}
{%- endmacro %}
