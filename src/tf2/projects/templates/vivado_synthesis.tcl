# vivado -mode batch -source synthesis.tcl: area and timing of the overlay alone, out of context.
set here [file dirname [file normalize [info script]]]
create_project -in_memory -part @{device}
read_verilog [file join $here overlay.v]
read_xdc -mode out_of_context [file join $here overlay.xdc]
synth_design -top overlay -part @{device} -mode out_of_context
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file [file join $here utilization.rpt]
report_timing_summary -file [file join $here timing.rpt]
