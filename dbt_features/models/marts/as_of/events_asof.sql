with versions as (
  select
    *,
    -- A planned day has no figure yet; a vendor that tells the revenue alone tells of an announcement that was made.
    eps_actual is not null or revenue_actual is not null as is_made,
    lead(known_at) over (partition by ticker, announced, source order by known_at) as replaced_at
  from {{ ref('stg_earnings') }}
),

bars as (
  select
    prices.ticker,
    prices.session,
    sessions.close_at,
    last_value(case when prices.dividend > 0 then prices.session end ignore nulls) over until_now as last_ex_dividend,
    last_value(case when prices.dividend > 0 then prices.dividend end ignore nulls) over until_now as dividend,
    last_value(case when prices.split_factor <> 1 then prices.session end ignore nulls) over until_now as last_split,
    last_value(case when prices.split_factor <> 1 then prices.split_factor end ignore nulls) over until_now as split_factor
  from {{ ref('stg_prices') }} as prices
  join {{ ref('sessions') }} as sessions using (session)
  window until_now as (partition by prices.ticker order by prices.session)
),

made as (
  select
    bars.ticker,
    bars.session,
    max_by(
      versions,
      (
        versions.announced,
        versions.eps_actual is not null,
        -coalesce(list_position({{ var('earnings_sources') }}, versions.source), 1000),
        versions.source
      )
    ) as latest
  from bars
  join versions
    on
      bars.ticker = versions.ticker
      and versions.known_at <= bars.close_at
      and bars.close_at < coalesce(versions.replaced_at, 'infinity')
  where versions.is_made
  group by bars.ticker, bars.session
),

planned as (
  select bars.ticker, bars.session, versions.announced, versions.known_at
  from bars
  join versions
    on
      bars.ticker = versions.ticker
      and versions.announced >= bars.session
      and versions.known_at <= bars.close_at
      and bars.close_at < coalesce(versions.replaced_at, 'infinity')
  left join made on bars.ticker = made.ticker and bars.session = made.session
  where
    not versions.is_made
    and versions.announced > coalesce(made.latest.announced + {{ var('one_announcement_days') }}, '-infinity')
),

-- Days close to the soonest are days of one announcement, as vendors differ or as it was moved: the last word counts.
coming as (
  select ticker, session, max_by(announced, (known_at, -epoch(announced))) as next_announced, max(known_at) as next_known_at
  from (
    select *, min(announced) over (partition by ticker, session) as soonest from planned
  )
  where announced <= soonest + {{ var('one_announcement_days') }}
  group by ticker, session
)

select
  bars.ticker,
  bars.session,
  made.latest.announced as last_announced,
  bars.session - made.latest.announced as days_since_announced,
  made.latest.eps_estimate as eps_estimate,
  made.latest.eps_actual as eps_actual,
  (made.latest.eps_actual - made.latest.eps_estimate) / nullif(abs(made.latest.eps_estimate), 0) as eps_surprise,
  made.latest.source as eps_source,
  made.latest.known_at as last_known_at,
  coming.next_announced,
  coming.next_announced - bars.session as days_to_announced,
  coming.next_known_at,
  bars.last_ex_dividend,
  bars.dividend,
  bars.session - bars.last_ex_dividend as days_since_ex_dividend,
  bars.last_split,
  bars.split_factor
from bars
left join made on bars.ticker = made.ticker and bars.session = made.session
left join coming on bars.ticker = coming.ticker and bars.session = coming.session
