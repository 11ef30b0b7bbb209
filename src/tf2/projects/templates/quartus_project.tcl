# quartus_sh -t project.tcl: create the Quartus project of one overlay and compile it.
# All pins but the clock are virtual: area and timing of the overlay alone. For a board, add
# overlay_hw.tcl to Platform Designer instead.
package require ::quartus::project
package require ::quartus::flow

project_new overlay -overwrite
set_global_assignment -name FAMILY "@{family}"
set_global_assignment -name DEVICE @{device}
set_global_assignment -name TOP_LEVEL_ENTITY overlay
set_global_assignment -name VERILOG_FILE overlay.v
set_global_assignment -name SDC_FILE overlay.sdc
set_global_assignment -name OPTIMIZATION_MODE "HIGH PERFORMANCE EFFORT"
set_instance_assignment -name VIRTUAL_PIN ON -to *
set_instance_assignment -name VIRTUAL_PIN OFF -to clk
export_assignments
execute_flow -compile
project_close
