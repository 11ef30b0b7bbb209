// The overlay under the names and polarity that an RTL kernel of Vitis has.
module tf2_kernel (
  input ap_clk,
  input ap_rst_n,
  output interrupt,
@{ports}
);
  reg reset = 1'b1;
  always @@(posedge ap_clk) reset <= ~ap_rst_n;

  // Vitis addresses 64 bits of memory, the overlay 40; of the kernel's 4 KiB of registers 256 bytes.
@{assigns}
  overlay overlay (
    .clk(ap_clk),
    .rst(reset),
    .irq(interrupt),
@{connections}
  );
endmodule
