{# The loss of one step, `step_loss`, and `scale` times its gradient on the output. Of neuron `o`, `y` is the output,
   `wanted_y` the target and `c` where its gradient belongs. #}
        var step_loss = 0.0;
{% include "losses/" ~ loss ~ ".wgsl" %}
