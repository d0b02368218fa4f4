with published as (
  select series, session as period, value, known_at from {{ ref('stg_macro') }}
),

newest as (
  {{ newest_known('published', of=['series'], period='period') }}
),

every_session as (
  select sessions.session, sessions.close_at, listed.series
  from {{ ref('sessions') }} as sessions
  cross join (select distinct series from published) as listed
)

select
  every_session.series,
  every_session.session,
  newest.period,
  newest.value,
  newest.known_at,
  every_session.session - newest.period as age_days
from every_session
asof join newest
  on every_session.series = newest.series and newest.stands_from <= every_session.close_at
