with bars as (
  select
    prices.ticker,
    prices.session,
    sessions.session_number,
    prices.close,
    prices.split_factor * (1 + prices.dividend / prices.close) as growth
  from {{ ref('stg_prices') }} as prices
  join {{ ref('sessions') }} as sessions using (session)
  where {{ is_rebuilt('sessions.session_number', before=var('look_back')) }}
),

grown as (
  select
    *,
    {%- for n in (1, 5, 20) %}
    case
      when count(*) over (by_number range between {{ n - 1 }} preceding and current row) = {{ n }}
        then
          close * product(growth) over (by_number range between {{ n - 1 }} preceding and current row)
          / any_value(close) over (by_number range between {{ n }} preceding and {{ n }} preceding)
          - 1
    end as return_{{ n }}{{ ',' if not loop.last }}
    {%- endfor %}
  from bars
  window by_number as (partition by ticker order by session_number)
)

select
  grown.ticker,
  grown.session,
  grown.return_1,
  grown.return_5,
  grown.return_20,
  ln(1 + grown.return_1) as log_return,
  index_asof.index_return,
  grown.return_1 - index_asof.index_return as excess_return
from grown
left join {{ ref('index_asof') }} as index_asof
  on grown.session = index_asof.session and index_asof.series = '{{ var("benchmark") }}'
where {{ is_rebuilt('grown.session_number') }}
order by grown.ticker, grown.session
