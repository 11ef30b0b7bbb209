# Platform Designer component: TF2 overlay @{name}, configuration 0x@{hash}.
package require -exact qsys 16.1

set_module_property NAME tf2_overlay
set_module_property DISPLAY_NAME "TF2 overlay @{name}"
set_module_property VERSION 1.0
set_module_property GROUP "TF2"
set_module_property EDITABLE true

add_fileset synthesis QUARTUS_SYNTH "" ""
set_fileset_property synthesis TOP_LEVEL overlay
add_fileset_file overlay.v VERILOG PATH overlay.v TOP_LEVEL_FILE
add_fileset simulation SIM_VERILOG "" ""
set_fileset_property simulation TOP_LEVEL overlay
add_fileset_file overlay.v VERILOG PATH overlay.v

add_interface clock clock end
set_interface_property clock clockRate 0
add_interface_port clock clk clk Input 1

add_interface reset reset end
set_interface_property reset associatedClock clock
set_interface_property reset synchronousEdges BOTH
add_interface_port reset rst reset Input 1

add_interface m_axi axi4 start
set_interface_property m_axi associatedClock clock
set_interface_property m_axi associatedReset reset
set_interface_property m_axi readIssuingCapability @{outstanding}
set_interface_property m_axi writeIssuingCapability @{outstanding}
set_interface_property m_axi combinedIssuingCapability @{both_outstanding}
@{m_axi_ports}

add_interface s_axil axi4lite end
set_interface_property s_axil associatedClock clock
set_interface_property s_axil associatedReset reset
set_interface_property s_axil readAcceptanceCapability 1
set_interface_property s_axil writeAcceptanceCapability 1
set_interface_property s_axil combinedAcceptanceCapability 1
@{s_axil_ports}

add_interface irq interrupt end
set_interface_property irq associatedAddressablePoint s_axil
set_interface_property irq associatedClock clock
set_interface_property irq associatedReset reset
add_interface_port irq irq irq Output 1

add_interface probe conduit end
set_interface_property probe associatedClock clock
@{probe_ports}
