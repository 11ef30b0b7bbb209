"""Complete projects for the tools of FPGA vendors."""
