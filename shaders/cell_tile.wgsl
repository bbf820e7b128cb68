{# A workgroup has all synapses of one episode in registers: lane (r, c) of a grid has those of rows
   `r, r + row_lanes, …` and columns `c, c + column_lanes, …`, as variables that end in `_a_b`. #}
{% macro place(tile) %}
    let row_lane = local / {{ tile.column_lanes }}u;
    let column_lane = local % {{ tile.column_lanes }}u;
{% for a in range(tile.rows) %}
    let i{{ a }} = row_lane + {{ a * tile.row_lanes }}u;
{% endfor %}
{% for b in range(tile.columns) %}
    let j{{ b }} = column_lane + {{ b * tile.column_lanes }}u;
{% endfor %}
{% endmacro %}
{# Whether there is a row `a`, or a column `b`, of a lane: nothing where each lane has as many. #}
{% macro if_row(tile, a) -%}
{% if tile.ragged_rows and a == tile.rows - 1 %}if (i{{ a }} < {{ tile.outputs }}u) {% endif %}{
{%- endmacro %}
{% macro if_column(tile, b) -%}
{% if tile.ragged_columns and b == tile.columns - 1 %}if (j{{ b }} < {{ tile.presynaptic }}u) {% endif %}{
{%- endmacro %}
{# The sum of what the lanes of a row put into plane `plane` of `parts` for neuron `i`, in order. #}
{% macro row_sum(tile, plane) -%}
{% for c in range(tile.column_lanes) %}{{ " + " if c > 0 }}parts[{{ (plane * tile.column_lanes + c) * tile.stride }}u + i]{% endfor %}
{%- endmacro %}
{# The sum of what some lanes have of a modulator, in order. #}
{% macro of_modulator(tile) -%}
{% for lane in range(tile.adders) %}{{ " + " if lane > 0 }}of_modulator[{{ lane }}]{% endfor %}
{%- endmacro %}
