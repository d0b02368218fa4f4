{# Rows that show at the close of a session what was not yet public, by any of the columns `known`. #}
{% test nothing_from_the_future(model, known=['known_at']) %}
select *
from {{ model }}
join {{ ref('sessions') }} as sessions using (session)
where false{% for column in known %} or "{{ column }}" > sessions.close_at{% endfor %}
{% endtest %}
