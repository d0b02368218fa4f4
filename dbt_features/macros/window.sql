{#
  Incremental by window: `start` and `end` (half-open dates, set by the step) name what is rebuilt. A bar changes rows up to `look_back`
  sessions later, so the rows rebuilt are those of the window and of as many sessions after it.
#}

{# Whether a session, by its number in the calendar spine, is rebuilt; `before` widens the window by what the rows look back on. #}
{% macro is_rebuilt(session_number, before=0) -%}
  {%- if is_incremental() -%}
    {{ session_number }} between {{ first_rebuilt() }} - {{ before }} and {{ last_rebuilt() }}
  {%- else -%}
    true
  {%- endif -%}
{%- endmacro %}

{% macro first_rebuilt() -%}
  (select min(session_number) from {{ ref('sessions') }} where session >= date '{{ var("start") }}')
{%- endmacro %}

{% macro last_rebuilt() -%}
  (select max(session_number) from {{ ref('sessions') }} where session < date '{{ var("end") }}') + {{ var('look_back') }}
{%- endmacro %}

{# The strategy: delete every row from `start` up to the last rebuilt session, whatever the new rows are, and insert. #}
{% macro get_incremental_window_sql(arguments) -%}
  {%- set columns = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
  delete from {{ arguments.target_relation }}
  where session >= date '{{ var("start") }}'
    and session not in (select session from {{ ref('sessions') }} where session_number > {{ last_rebuilt() }});
  insert into {{ arguments.target_relation }} ({{ columns }}) (select {{ columns }} from {{ arguments.temp_relation }})
{%- endmacro %}
