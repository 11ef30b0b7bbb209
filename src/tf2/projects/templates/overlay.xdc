# The overlay has one clock; its ports go to registers of the same clock.
create_clock -name @{clock} -period @{period_ns} [get_ports @{clock}]
