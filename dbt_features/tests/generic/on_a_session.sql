{# Rows of the spine's span that are dated by no session of the exchange. #}
{% test on_a_session(model) %}
select session
from {{ model }}
where session not in (select session from {{ ref('sessions') }}) and session >= (select min(session) from {{ ref('sessions') }})
{% endtest %}
