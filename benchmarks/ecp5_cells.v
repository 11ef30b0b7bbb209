// Behaviour of the blocks of an ECP5 of which yosys has black boxes only, as synth_ecp5 uses them:
// block RAM without output registers and of which one port writes, multipliers without registers.
// Memories start at 0: parameters INITVAL_00 to 3F are left out of instances.
// Ref: Lattice FPGA-TN-02204 (ECP5 memory usage guide), FPGA-TN-02205 (sysDSP usage guide);
// order of narrow words as in yosys' techlibs/lattice/brams_map_16kd.v.

module DP16KD(
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG";
  parameter REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000";
  parameter CSDECODE_B = "0b000";
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA";
  parameter CLKBMUX = "CLKB";
  parameter GSR = "AUTO";

  wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  reg [35:0] doa = 0, dob = 0;
  // A port of 36 bits takes the data pins of both.
  wire [35:0] both = {dib, dia};
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} =
    DATA_WIDTH_B == 36 ? dob[17:0] : doa[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} =
    DATA_WIDTH_B == 36 ? dob[35:18] : dob[17:0];

  reg [35:0] words [0:511];
  integer k;
  initial for (k = 0; k < 512; k = k + 1) words[k] = 0;

  // What a port of a width sees of a word of 36, and the word's bits that it writes: bytes of 9,
  // of which narrow ports use 8.
  function [35:0] seen(input [35:0] word, input [13:0] address, input integer width);
    reg [8:0] octet;
    begin
      octet = word >> 9 * address[4:3];
      seen = width == 36 ? word : width == 18 ? (word >> 18 * address[4]) & 36'h3ffff :
        width == 9 ? octet : width == 4 ? octet[7:0] >> 4 * address[2] & 15 :
        width == 2 ? octet[7:0] >> 2 * address[2:1] & 3 : octet[7:0] >> address[2:0] & 1;
    end
  endfunction
  function [35:0] mask(input [13:0] address, input integer width);
    mask = width == 36 ? {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}} :
      width == 18 ? {{9{address[1]}}, {9{address[0]}}} << 18 * address[4] :
      width == 9 ? 36'h1ff << 9 * address[4:3] :
      width == 4 ? 36'hf << (9 * address[4:3] + 4 * address[2]) :
      width == 2 ? 36'h3 << (9 * address[4:3] + 2 * address[2:1]) :
      36'h1 << (9 * address[4:3] + address[2:0]);
  endfunction
  function [35:0] placed(input [35:0] data, input [13:0] address, input integer width);
    placed = width == 36 ? data : width == 18 ? data[17:0] << 18 * address[4] :
      width == 9 ? data[8:0] << 9 * address[4:3] :
      width == 4 ? data[3:0] << (9 * address[4:3] + 4 * address[2]) :
      width == 2 ? data[1:0] << (9 * address[4:3] + 2 * address[2:1]) :
      data[0] << (9 * address[4:3] + address[2:0]);
  endfunction

  wire [35:0] old_a = words[ada[13:5]], old_b = words[adb[13:5]];
  wire [35:0] mask_a = mask(ada, DATA_WIDTH_A), mask_b = mask(adb, DATA_WIDTH_B);
  wire [35:0] new_a = old_a & ~mask_a | placed(both, ada, DATA_WIDTH_A) & mask_a;
  wire [35:0] new_b = old_b & ~mask_b | placed({18'b0, dib}, adb, DATA_WIDTH_B) & mask_b;
  wire selected_a = {CSA2, CSA1, CSA0} == 0, selected_b = {CSB2, CSB1, CSB0} == 0;

  always @(posedge CLKA) begin
    if (CEA & selected_a) begin
      if (WEA) words[ada[13:5]] <= new_a;
      if (!WEA | WRITEMODE_A != "NORMAL")
        doa <= seen(WRITEMODE_A == "WRITETHROUGH" & WEA ? new_a : old_a, ada, DATA_WIDTH_A);
    end
    if (RSTA) doa <= 0;
  end
  always @(posedge CLKB) begin
    if (CEB & selected_b) begin
      if (WEB) words[adb[13:5]] <= new_b;
      if (!WEB | WRITEMODE_B != "NORMAL")
        dob <= seen(WRITEMODE_B == "WRITETHROUGH" & WEB ? new_b : old_b, adb, DATA_WIDTH_B);
    end
    if (RSTB) dob <= 0;
  end
endmodule

module MULT18X18D(
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
  output P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  wire signed [18:0] a = {SIGNEDA & A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire signed [18:0] b = {SIGNEDB & B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  wire signed [37:0] p = a * b;
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = p[35:0];
endmodule
