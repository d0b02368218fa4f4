select
  session,
  row_number() over (order by session)::integer as session_number,
  year(session)::integer as year,
  quarter(session)::integer as quarter,
  close_at,
  (close_at at time zone 'America/New_York')::time < time '16:00' as early_close
from read_parquet('{{ var("sessions", "") | replace("'", "''") }}')
order by session
