{%- set figure = ['ticker', 'taxonomy', 'concept', 'unit', 'months'] -%}
with reported as (
  select
    ticker,
    taxonomy,
    concept,
    unit,
    case
      when period_start is null then 0
      else greatest(round((period_end - period_start + 1) / 30.4375), 1)
    end::integer as months,
    period_start,
    period_end,
    value,
    form,
    filed,
    known_at,
    accession
  from {{ ref('stg_fundamentals') }}
  where concept in ('{{ var("concepts") | join("', '") }}')
),

newest as (
  {{ newest_known('reported', of=figure, period='period_end', version=['accession', 'period_start']) }}
),

every_bar as (
  select prices.session, sessions.close_at, listed.*
  from {{ ref('stg_prices') }} as prices
  join {{ ref('sessions') }} as sessions using (session)
  join (select distinct {{ figure | join(', ') }} from reported) as listed using (ticker)
)

select
  every_bar.ticker,
  every_bar.session,
  every_bar.taxonomy,
  every_bar.concept,
  every_bar.unit,
  every_bar.months,
  newest.period_start,
  newest.period_end,
  newest.value,
  newest.form,
  newest.filed,
  newest.known_at
from every_bar
asof join newest
  on
    {%- for column in figure %}
    every_bar.{{ column }} = newest.{{ column }} and
    {%- endfor %}
    newest.stands_from <= every_bar.close_at
