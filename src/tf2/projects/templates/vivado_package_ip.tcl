# vivado -mode batch -source package_ip.tcl: the overlay as an IP-XACT core in ip/.
set here [file dirname [file normalize [info script]]]
set root [file join $here ip]

create_project -force package_ip [file join $here package_ip] -part @{device}
add_files -norecurse [file join $here overlay.v]
set_property top overlay [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $root -vendor tf2 -library accelerators -taxonomy /UserIP \
    -import_files -set_current true -force
set core [ipx::current_core]
set_property name tf2_overlay $core
set_property display_name "TF2 overlay @{name}" $core
set_property description "Shift-accumulate accelerator, configuration 0x@{hash}" $core
set_property version 1.0 $core

# The reset is active high and synchronous; the buses are found by the names of their ports.
ipx::infer_bus_interface clk xilinx.com:signal:clock_rtl:1.0 $core
ipx::infer_bus_interface rst xilinx.com:signal:reset_rtl:1.0 $core
ipx::infer_bus_interface irq xilinx.com:signal:interrupt_rtl:1.0 $core
set reset [ipx::get_bus_interfaces rst -of_objects $core]
set_property value ACTIVE_HIGH [ipx::add_bus_parameter POLARITY $reset]
ipx::associate_bus_interfaces -busif m_axi -clock clk $core
ipx::associate_bus_interfaces -busif s_axil -clock clk $core
ipx::associate_bus_interfaces -clock clk -reset rst $core

# Registers, so that a hardware handoff file knows them by name.
set map [ipx::get_memory_maps s_axil -of_objects $core]
if {$map eq ""} {
    set map [ipx::add_memory_map s_axil $core]
    set_property slave_memory_map_ref s_axil [ipx::get_bus_interfaces s_axil -of_objects $core]
}
set block [ipx::get_address_blocks -of_objects $map]
if {$block eq ""} {
    set block [ipx::add_address_block registers $map]
}
set_property range 4096 $block
set_property usage register $block
foreach {name offset} {
@{tcl_registers}
} {
    set register [ipx::add_register $name $block]
    set_property address_offset $offset $register
    set_property size 32 $register
}

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
