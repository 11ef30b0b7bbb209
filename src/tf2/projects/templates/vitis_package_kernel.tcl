# vivado -mode batch -source package_kernel.tcl: the overlay as an RTL kernel, tf2_kernel.xo. Then
# v++ --link --platform xilinx_u250_gen3x16_xdma_4_1_202210_1 --kernel_frequency @{kernel_mhz} \
#     --connectivity.sp tf2_kernel_1.m_axi_gmem:DDR[0] -o tf2.xclbin tf2_kernel.xo
set here [file dirname [file normalize [info script]]]
set root [file join $here kernel_ip]

create_project -force package_kernel [file join $here package_kernel] -part @{device}
add_files -norecurse [list [file join $here overlay.v] [file join $here tf2_kernel.v]]
set_property top tf2_kernel [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $root -vendor tf2 -library kernels -taxonomy /KernelIP \
    -import_files -set_current true -force
set core [ipx::current_core]
ipx::infer_bus_interface ap_clk xilinx.com:signal:clock_rtl:1.0 $core
ipx::infer_bus_interface ap_rst_n xilinx.com:signal:reset_rtl:1.0 $core
ipx::infer_bus_interface interrupt xilinx.com:signal:interrupt_rtl:1.0 $core
ipx::associate_bus_interfaces -busif m_axi_gmem -clock ap_clk $core
ipx::associate_bus_interfaces -busif s_axi_control -clock ap_clk $core
ipx::associate_bus_interfaces -clock ap_clk -reset ap_rst_n $core

set_property sdx_kernel true $core
set_property sdx_kernel_type rtl $core
set_property ipi_drc {ignore_freq_hz true} $core
set_property vitis_drc {ctrl_protocol user_managed} $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity -kernel -xrt $core
ipx::save_core $core
close_project

package_xo -force -xo_path [file join $here tf2_kernel.xo] -kernel_name tf2_kernel \
    -ip_directory $root -ctrl_protocol user_managed -kernel_xml [file join $here kernel.xml]
