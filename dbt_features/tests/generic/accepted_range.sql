{# Rows outside min .. max, both allowed; nulls and only nulls pass otherwise. #}
{% test accepted_range(model, column_name, min=none, max=none) %}
select * from {{ model }}
where isnan("{{ column_name }}"::double)
  {%- if min is not none %} or "{{ column_name }}" < {{ min }}{% endif %}
  {%- if max is not none %} or "{{ column_name }}" > {{ max }}{% endif %}
{% endtest %}
