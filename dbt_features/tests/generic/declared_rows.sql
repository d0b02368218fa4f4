{# Rows whose key occurs more than once, or that lack a value where one is required. #}
{% test declared_rows(model, key, required) %}
{%- set key = '"' ~ key | join('", "') ~ '"' %}
select {{ key }}, count(*) as occurrences
from {{ model }}
group by {{ key }}
having count(*) > 1{% for column in required %} or bool_or("{{ column }}" is null){% endfor %}
{% endtest %}
