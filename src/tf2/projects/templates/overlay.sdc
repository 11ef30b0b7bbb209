# The overlay has one clock; its ports go to registers of the same clock.
create_clock -name clk -period @{period_ns} [get_ports clk]
derive_clock_uncertainty
