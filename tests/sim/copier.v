// A stand-in for the overlay, with its ports: copies bursts of 4 beats of 16 bytes, adding 1 to the
// first byte of each beat. Registers: 0x08 start, 0x0C status (done, error), 0x18 irq pending,
// 0x20 arena base (low), 0x30 from, 0x38 to, 0x40 bursts; as an offset in the arena.
module overlay(
    input clk, input rst, output irq,
    output reg [39:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
    output [1:0] m_axi_arburst, output reg m_axi_arvalid, input m_axi_arready,
    input [127:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast, input m_axi_rvalid,
    output m_axi_rready,
    output reg [39:0] m_axi_awaddr, output [7:0] m_axi_awlen, output [2:0] m_axi_awsize,
    output [1:0] m_axi_awburst, output reg m_axi_awvalid, input m_axi_awready,
    output [127:0] m_axi_wdata, output [15:0] m_axi_wstrb, output m_axi_wlast,
    output reg m_axi_wvalid, input m_axi_wready,
    input [1:0] m_axi_bresp, input m_axi_bvalid, output m_axi_bready,
    input [7:0] s_axil_awaddr, input s_axil_awvalid, output s_axil_awready,
    input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid,
    output s_axil_wready, output [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
    input [7:0] s_axil_araddr, input s_axil_arvalid, output s_axil_arready,
    output reg [31:0] s_axil_rdata, output [1:0] s_axil_rresp, output reg s_axil_rvalid,
    input s_axil_rready,
    output reg [15:0] probe_layers_done, output probe_busy, output probe_stall_filter,
    output probe_waiting);
  reg [31:0] regs[0:63];
  reg [127:0] buffer[0:3];
  reg [2:0] state;
  reg [1:0] beat;
  reg [31:0] left;
  reg error, pending;
  localparam IDLE = 0, AR = 1, R = 2, AW = 3, W = 4, B = 5;

  assign m_axi_arlen = 3, m_axi_arsize = 4, m_axi_arburst = 1;
  assign m_axi_awlen = 3, m_axi_awsize = 4, m_axi_awburst = 1;
  assign m_axi_rready = 1, m_axi_bready = 1, m_axi_wstrb = 16'hFFFF;
  assign m_axi_wdata = {buffer[beat][127:8], buffer[beat][7:0] + 8'd1}, m_axi_wlast = beat == 3;
  assign s_axil_bresp = 0, s_axil_rresp = s_axil_araddr == 8'hFC ? 2 : 0;
  assign irq = pending, probe_busy = state == R, probe_stall_filter = state == AR;
  assign probe_waiting = 0;

  wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  assign s_axil_awready = write, s_axil_wready = write;
  assign s_axil_arready = s_axil_arvalid && !s_axil_rvalid;

  always @(posedge clk) begin
    if (s_axil_bready) s_axil_bvalid <= 0;
    if (s_axil_rready) s_axil_rvalid <= 0;
    if (s_axil_arready) begin
      s_axil_rvalid <= 1;
      s_axil_rdata <= s_axil_araddr == 8'h0C ? {29'd0, error, state == IDLE, state != IDLE}
                                             : regs[s_axil_araddr[7:2]];
    end
    if (write) begin
      s_axil_bvalid <= 1;
      regs[s_axil_awaddr[7:2]] <= s_axil_wdata;
      if (s_axil_awaddr == 8'h18) pending <= 0;
      if (s_axil_awaddr == 8'h08 && s_axil_wdata[0]) begin
        state <= AR; left <= regs[16]; error <= 0; m_axi_arvalid <= 1;
        m_axi_araddr <= {8'd1, regs[8]} + regs[12];
        m_axi_awaddr <= {8'd1, regs[8]} + regs[14];
      end
    end
    case (state)
      AR: if (m_axi_arready) begin m_axi_arvalid <= 0; state <= R; beat <= 0; end
      R: if (m_axi_rvalid) begin
        buffer[beat] <= m_axi_rdata;
        beat <= beat + 1;
        error <= error | (m_axi_rresp != 0);
        if (m_axi_rlast) begin state <= AW; m_axi_awvalid <= 1; end
      end
      AW: if (m_axi_awready) begin m_axi_awvalid <= 0; m_axi_wvalid <= 1; state <= W; beat <= 0; end
      W: if (m_axi_wready) begin
        beat <= beat + 1;
        if (m_axi_wlast) begin m_axi_wvalid <= 0; state <= B; end
      end
      B: if (m_axi_bvalid) begin
        error <= error | (m_axi_bresp != 0);
        left <= left - 1;
        probe_layers_done <= probe_layers_done + 1;
        m_axi_araddr <= m_axi_araddr + 64;
        m_axi_awaddr <= m_axi_awaddr + 64;
        if (left == 1) begin state <= IDLE; pending <= 1; end
        else begin state <= AR; m_axi_arvalid <= 1; end
      end
      default: ;
    endcase
    if (rst) begin
      state <= IDLE; pending <= 0; error <= 0; m_axi_arvalid <= 0; m_axi_awvalid <= 0;
      m_axi_wvalid <= 0; s_axil_bvalid <= 0; s_axil_rvalid <= 0; probe_layers_done <= 0;
    end
  end
endmodule
