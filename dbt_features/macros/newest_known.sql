{#
  The rows of a relation that are, from `stands_from` until the next one does, the newest fact that is known of `of` (columns): of all
  periods known by then the latest, and of that period the latest version. An ASOF JOIN on stands_from gives every instant its row.

  A row is kept when no later period is known at the moment it becomes known: a revision of an older period says nothing new about the
  newest. What is about a day to come (a projection) stands from that day, in New York. Of rows known at one moment, the last by the
  columns `version` counts.
#}
{% macro newest_known(rows, of, period, version=[]) -%}
  select *
  from (
    select *, greatest(known_at, {{ period }}::timestamp at time zone 'America/New_York') as stands_from from {{ rows }}
  )
  qualify
    {{ period }} = max({{ period }}) over (partition by {{ of | join(', ') }} order by stands_from)
    and row_number() over (
      partition by {{ of | join(', ') }}, stands_from
      order by {{ period }} desc, known_at desc{% for column in version %}, {{ column }} desc nulls last{% endfor %}
    ) = 1
{%- endmacro %}
