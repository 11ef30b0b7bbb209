# vivado -mode batch -source block_design.tcl, after package_ip.tcl: a design for the KV260 whose
# processing system drives the overlay and shares its DDR4; ends with overlay.bit and overlay.hwh,
# which PYNQ loads.
set here [file dirname [file normalize [info script]]]
set build [file join $here build]

create_project -force overlay $build -part @{device}
catch { set_property board_part xilinx.com:kv260_som:part0:1.4 [current_project] }
set_property ip_repo_paths [file join $here ip] [current_project]
update_ip_catalog

create_bd_design overlay
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
catch {
    apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e \
        -config {apply_board_preset "1"} $ps
}
# One port out to the registers, one port in to the DDR4, one interrupt, one clock.
set_property -dict [list \
    CONFIG.PSU__USE__M_AXI_GP0 {1} \
    CONFIG.PSU__USE__M_AXI_GP1 {0} \
    CONFIG.PSU__USE__M_AXI_GP2 {0} \
    CONFIG.PSU__USE__S_AXI_GP2 {1} \
    CONFIG.PSU__SAXIGP2__DATA_WIDTH {@{port_bits}} \
    CONFIG.PSU__USE__IRQ0 {1} \
    CONFIG.PSU__FPGA_PL0_ENABLE {1} \
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ {@{clock_mhz}} \
] $ps

set core [create_bd_cell -type ip -vlnv tf2:accelerators:tf2_overlay:1.0 tf2_overlay]
set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset]
set control [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control]
set memory [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect memory]
set_property CONFIG.NUM_SI 1 $control
set_property CONFIG.NUM_SI 1 $memory

connect_bd_net [get_bd_pins ps/pl_clk0] \
    [get_bd_pins tf2_overlay/clk] [get_bd_pins reset/slowest_sync_clk] \
    [get_bd_pins control/aclk] [get_bd_pins memory/aclk] \
    [get_bd_pins ps/maxihpm0_fpd_aclk] [get_bd_pins ps/saxihp0_fpd_aclk]
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins reset/peripheral_reset] [get_bd_pins tf2_overlay/rst]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] \
    [get_bd_pins control/aresetn] [get_bd_pins memory/aresetn]
connect_bd_net [get_bd_pins tf2_overlay/irq] [get_bd_pins ps/pl_ps_irq0]

connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_HPM0_FPD] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins tf2_overlay/s_axil]
connect_bd_intf_net [get_bd_intf_pins tf2_overlay/m_axi] [get_bd_intf_pins memory/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins memory/M00_AXI] [get_bd_intf_pins ps/S_AXI_HP0_FPD]
assign_bd_address
validate_bd_design
save_bd_design

set wrapper [make_wrapper -files [get_files overlay.bd] -top]
add_files -norecurse $wrapper
set_property top overlay_wrapper [current_fileset]
update_compile_order -fileset sources_1

launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
    error "implementation failed: see $build/overlay.runs/impl_1"
}
open_run impl_1
if {[get_property SLACK [get_timing_paths -delay_type max]] < 0} {
    error "the clock of @{clock_mhz} MHz is missed: ask for less, or for a smaller overlay"
}
set bitstream [lindex [glob [file join $build overlay.runs impl_1 *.bit]] 0]
file copy -force $bitstream [file join $here overlay.bit]
set handoff [lindex [glob [file join $build overlay.gen sources_1 bd overlay hw_handoff *.hwh]] 0]
file copy -force $handoff [file join $here overlay.hwh]
