{# Where in the input `episode` begins, whose other arrays begin at `first_step`: networks may have their input in common. #}
        let first_input = {% if common_input %}episode % extent.episodes * extent.steps{% else %}first_step{% endif %};
