{# Values of a wide table that differ from the long one, one of them missing included. #}
{% test agrees_with_long(model, long) %}
{%- set measures = [] -%}
{%- for column in (adapter.get_columns_in_relation(long) if execute else []) if column.name not in ('ticker', 'session') -%}
  {%- do measures.append(column.quoted) -%}
{%- endfor %}
with narrow as (
  {%- if measures %}
  from (unpivot {{ long }} on {{ measures | join(', ') }} into name measure value expected)
  {%- endif %}
),
wide as (
  {%- if tickers_of(long) %}
  from (unpivot {{ model }} on columns(* exclude (measure, session)) into name ticker value found)
  {%- else %}
  select measure, session, null::varchar as ticker, null::double as found from {{ model }}
  {%- endif %}
)
select * from narrow full join wide using (measure, session, ticker) where expected is distinct from found
{% endtest %}
