with traded as (
  select
    prices.ticker,
    prices.session,
    sessions.session_number,
    prices.volume,
    prices.close * prices.volume as dollar_volume,
    abs(returns.return_1) as move
  from {{ ref('stg_prices') }} as prices
  join {{ ref('sessions') }} as sessions using (session)
  join {{ ref('returns') }} as returns using (ticker, session)
  where
    prices.price_basis = 'raw'
    and prices.volume is not null
    and {{ is_rebuilt('sessions.session_number', before=var('look_back')) }}
),

averaged as (
  select
    *,
    count(dollar_volume) over last_20 = 20 as has_20,
    avg(dollar_volume) over last_20 as dollar_volume_20,
    count(move) over last_20 = 20 as has_20_moves,
    1e6 * avg(move / nullif(dollar_volume, 0)) over last_20 as amihud_20,
    avg((volume = 0)::integer) over last_20 as zero_volume_share_20
  from traded
  window last_20 as (partition by ticker order by session_number range between 19 preceding and current row)
)

select
  ticker,
  session,
  dollar_volume,
  case when has_20 then dollar_volume_20 end as dollar_volume_20,
  case when has_20_moves then amihud_20 end as amihud_20,
  case when has_20 then zero_volume_share_20 end as zero_volume_share_20
from averaged
where {{ is_rebuilt('session_number') }}
order by ticker, session
