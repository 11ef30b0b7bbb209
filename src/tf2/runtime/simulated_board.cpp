// The verilated design of a board, clock by clock, with a host at the byte end of its serial link.
//
// tf2.runtime.simulated_board drives it by ctypes. A byte is taken from the host whenever the
// design is ready for one: as a serial line would, without its time.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>

#include "Vtop.h"
#include "verilated.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

class Board {
  public:
    Board() : top_(std::make_unique<Vtop>(&context_, "top")) {
        top_->sim_trace = 0;
        top_->serial_sink_valid = 0;
        top_->serial_source_ready = 1;
        top_->sys_rst = 1;
        for (int i = 0; i < 16; ++i) cycle();
        top_->sys_rst = 0;
    }
    ~Board() { top_->final(); }

    void send(const uint8_t* data, uint64_t size) { to_board_.insert(to_board_.end(), data, data + size); }

    // Runs until so many bytes have come and all are sent, at most so many cycles.
    void run(uint64_t cycles, uint64_t wanted) {
        for (uint64_t i = 0; i < cycles && (from_board_.size() < wanted || !to_board_.empty()); ++i)
            cycle();
    }

    uint64_t receive(uint8_t* data, uint64_t room) {
        const uint64_t size = std::min<uint64_t>(room, from_board_.size());
        std::copy_n(from_board_.begin(), size, data);
        from_board_.erase(from_board_.begin(), from_board_.begin() + size);
        return size;
    }

    uint64_t cycles() const { return now_; }

  private:
    void cycle() {
        top_->serial_sink_valid = !to_board_.empty();
        if (!to_board_.empty()) top_->serial_sink_data = to_board_.front();
        top_->sys_clk = 0;
        top_->eval();
        const bool taken = top_->serial_sink_valid && top_->serial_sink_ready;
        if (top_->serial_source_valid) from_board_.push_back(top_->serial_source_data);
        top_->sys_clk = 1;
        top_->eval();
        if (taken) to_board_.pop_front();
        ++now_;
    }

    VerilatedContext context_;
    std::unique_ptr<Vtop> top_;
    std::deque<uint8_t> to_board_, from_board_;
    uint64_t now_ = 0;
};

}  // namespace

EXPORT Board* tf2_create() { return new Board; }
EXPORT void tf2_destroy(Board* b) { delete b; }
EXPORT void tf2_send(Board* b, const uint8_t* data, uint64_t size) { b->send(data, size); }
EXPORT void tf2_run(Board* b, uint64_t cycles, uint64_t wanted) { b->run(cycles, wanted); }
EXPORT uint64_t tf2_receive(Board* b, uint8_t* data, uint64_t room) { return b->receive(data, room); }
EXPORT uint64_t tf2_cycles(Board* b) { return b->cycles(); }
