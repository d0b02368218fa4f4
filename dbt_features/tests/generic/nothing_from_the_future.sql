{# Rows that show at the close of a session what was not yet public. #}
{% test nothing_from_the_future(model) %}
select * from {{ model }} join {{ ref('sessions') }} as sessions using (session) where known_at > sessions.close_at
{% endtest %}
