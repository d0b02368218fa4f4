with every_session as (
  select sessions.session, sessions.session_number, sessions.close_at, listed.series
  from {{ ref('sessions') }} as sessions
  cross join (select distinct series from {{ ref('stg_index_prices') }}) as listed
),

known as (
  select
    every_session.series,
    every_session.session,
    every_session.session_number,
    bars.session as index_session,
    bars.close as index_close,
    bars.known_at
  from every_session
  asof join {{ ref('stg_index_prices') }} as bars
    on every_session.series = bars.series and bars.known_at <= every_session.close_at
)

select
  series,
  session,
  index_session,
  index_close,
  known_at,
  -- The same bar behind both sessions is no observation of a return, and not one of zero.
  case
    when index_session > lag(index_session) over by_session and session_number = lag(session_number) over by_session + 1
      then index_close / lag(index_close) over by_session - 1
  end as index_return
from known
window by_session as (partition by series order by session_number)
order by series, session
