// The verilated overlay with a DDR behind its AXI4 ports and a host at its AXI4-Lite port.
//
// One call of step() is one clock cycle: inputs are what the models decided at the end of the cycle
// before, outputs are sampled before the rising edge. The DDR serves reads in order of their
// requests. It is as strict as AXI allows: a read sees memory as it was when its request was
// accepted, and a write is in memory when its response is given, not earlier. The arena's bytes are
// the caller's, in place.
//
// tf2.sim.rtl drives it by ctypes; structures here and there must agree.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

struct Settings {
    uint64_t base;             // physical address of the arena's first byte
    uint64_t seed;             // of the random stalls
    int64_t error_address;     // offset whose transfer is answered by SLVERR, or -1
    int64_t silent_from;       // cycle of a run from which nothing is answered, or -1
    uint32_t latency;          // cycles from a request to its first beat, or from a last beat to B
    uint32_t beats_per_256;    // beats that memory moves in 256 cycles, reads and writes together
    uint32_t stalls_per_256;   // cycles of 256 in which a channel is held up at random
    uint32_t max_outstanding;  // requests accepted and not yet served, a direction
};

struct Counters {
    uint64_t cycles, busy, stall_filter, waiting, read_beats, write_beats;
};

struct Burst {
    uint64_t address = 0;
    uint32_t beats = 0, done = 0;
    uint64_t ready_cycle = 0;
    uint8_t response = OKAY;
    std::vector<uint8_t> data, strobes;
};

template <typename Port>
uint8_t* raw(Port& port) { return reinterpret_cast<uint8_t*>(&port); }

class Simulation {
  public:
    Simulation(const Settings& settings) : settings_(settings), random_(settings.seed * 2 + 1) {
        context_.traceEverOn(VM_TRACE);
        top_ = std::make_unique<Vtop>(&context_, "top");
        reset();
    }

    ~Simulation() {
        stop_trace();
        top_->final();
    }

    void reset() {
        reads_.clear(), writes_.clear(), answers_.clear();
        top_->clk = 0;
        top_->s_axil_awvalid = top_->s_axil_wvalid = top_->s_axil_bready = 0;
        top_->s_axil_arvalid = top_->s_axil_rready = 0;
        top_->m_axi_arready = top_->m_axi_awready = top_->m_axi_wready = 0;
        top_->m_axi_rvalid = top_->m_axi_bvalid = 0;
        ar_held_ = aw_held_ = w_held_ = false;
        top_->rst = 1;
        for (int i = 0; i < 8; ++i) tick();
        top_->rst = 0;
        begin();
    }

    void set_memory(uint8_t* memory, uint64_t size) { memory_ = memory, size_ = size; }

    void begin() {  // counts start with the first cycle of the next run
        counters_ = {};
        running_ = false;
        marks_.clear();
        layers_done_ = top_->probe_layers_done;
    }

    bool run(uint64_t cycles) {
        for (uint64_t i = 0; i < cycles && !top_->irq; ++i) step();
        return top_->irq;
    }

    // AXI4-Lite, one transfer at a time; false where the slave does not answer or refuses.
    bool write_register(uint32_t address, uint32_t value) {
        top_->s_axil_awaddr = address, top_->s_axil_wdata = value, top_->s_axil_wstrb = 15;
        top_->s_axil_awvalid = top_->s_axil_wvalid = top_->s_axil_bready = 1;
        for (int i = 0; i < REGISTER_DEADLINE; ++i) {
            settle();
            const bool aw = top_->s_axil_awvalid && top_->s_axil_awready;
            const bool w = top_->s_axil_wvalid && top_->s_axil_wready;
            const bool b = top_->s_axil_bvalid;
            const uint8_t response = top_->s_axil_bresp;
            edge();
            if (aw) top_->s_axil_awvalid = 0;
            if (w) top_->s_axil_wvalid = 0;
            if (b) {
                top_->s_axil_bready = 0;
                return response == OKAY;
            }
        }
        return false;
    }

    bool read_register(uint32_t address, uint32_t* value) {
        top_->s_axil_araddr = address;
        top_->s_axil_arvalid = top_->s_axil_rready = 1;
        for (int i = 0; i < REGISTER_DEADLINE; ++i) {
            settle();
            const bool ar = top_->s_axil_arvalid && top_->s_axil_arready;
            const bool r = top_->s_axil_rvalid;
            const uint8_t response = top_->s_axil_rresp;
            *value = top_->s_axil_rdata;
            edge();
            if (ar) top_->s_axil_arvalid = 0;
            if (r) {
                top_->s_axil_rready = 0;
                return response == OKAY;
            }
        }
        return false;
    }

    bool start_trace(const char* path, uint64_t first, uint64_t last) {
#if VM_TRACE
        stop_trace();
        trace_ = std::make_unique<VerilatedVcdC>();
        top_->trace(trace_.get(), 99);
        trace_->open(path);
        trace_first_ = first, trace_last_ = last;
        return trace_->isOpen();
#else
        (void)path, (void)first, (void)last;
        return false;
#endif
    }

    void stop_trace() {
#if VM_TRACE
        if (trace_) trace_->close();
        trace_.reset();
#endif
    }

    const Counters& counters() const { return counters_; }
    const std::vector<Counters>& marks() const { return marks_; }
    const std::string& violation() const { return violation_; }

  private:
    static constexpr int REGISTER_DEADLINE = 1000;
    static constexpr uint32_t BEAT = DDR_BYTES;
    static constexpr uint32_t BEAT_COST = 256;

    void step() { settle(), edge(); }

    void settle() {
        top_->clk = 0;
        top_->eval();
        dump(2 * now_);
    }

    void edge() {
        const bool ar = top_->m_axi_arvalid && top_->m_axi_arready;
        const bool r = top_->m_axi_rvalid && top_->m_axi_rready;
        const bool aw = top_->m_axi_awvalid && top_->m_axi_awready;
        const bool w = top_->m_axi_wvalid && top_->m_axi_wready;
        const bool b = top_->m_axi_bvalid && top_->m_axi_bready;
        const bool w_waits = top_->m_axi_wvalid && !w;
        check_stable();
        count(r, w);
        if (ar) accept_read();
        if (aw) accept_write();
        if (w) accept_beat();
        // What the masters see changes after the edge only.
        top_->clk = 1;
        top_->eval();
        dump(2 * now_ - 1);
        mark();
        drive(r, b, w, w_waits);
    }

    void tick() {  // a cycle without models, under reset
        settle();
        top_->clk = 1;
        top_->eval();
        context_.timeInc(1);
    }

    void count(bool r, bool w) {
        ++now_;
        running_ |= top_->probe_waiting || top_->probe_busy || top_->probe_stall_filter;
        if (!running_) return;
        ++counters_.cycles;
        counters_.busy += top_->probe_busy;
        counters_.stall_filter += top_->probe_stall_filter;
        counters_.waiting += top_->probe_waiting;
        counters_.read_beats += r;
        counters_.write_beats += w;
    }

    void mark() {
        const uint64_t done = top_->probe_layers_done;
        if (done > layers_done_) marks_.push_back(counters_);  // falls to 0 when a run begins
        layers_done_ = done;
    }

    // Decides the inputs of the next cycle.
    void drive(bool r, bool b, bool w, bool w_waits) {
        const bool silent = settings_.silent_from >= 0 &&
                            counters_.cycles >= uint64_t(settings_.silent_from);
        tokens_ = std::min(tokens_ + settings_.beats_per_256, BEAT_COST + settings_.beats_per_256);
        if (top_->m_axi_wready && !w) tokens_ += BEAT_COST;  // was set aside and not used
        const bool write_first = w_waits && read_served_last_;
        if (write_first) offer_write(silent);
        offer_read(r, silent);
        if (!write_first) offer_write(silent);
        offer_answer(b, silent);
        top_->m_axi_arready = !silent && reads_.size() < settings_.max_outstanding && !stalls();
        top_->m_axi_awready = !silent && writes_.size() < settings_.max_outstanding && !stalls();
    }

    void offer_read(bool taken, bool silent) {
        if (taken && ++reads_.front().done == reads_.front().beats) reads_.pop_front();
        if (top_->m_axi_rvalid && !taken) return;  // valid stays until it is taken
        top_->m_axi_rvalid = 0;
        if (silent || reads_.empty() || tokens_ < BEAT_COST || stalls()) return;
        const Burst& burst = reads_.front();
        if (burst.ready_cycle > now_) return;
        tokens_ -= BEAT_COST;
        read_served_last_ = true;
        top_->m_axi_rvalid = 1;
        std::memcpy(raw(top_->m_axi_rdata), &burst.data[burst.done * BEAT], BEAT);
        top_->m_axi_rresp = burst.response;
        top_->m_axi_rlast = burst.done + 1 == burst.beats;
    }

    void offer_write(bool silent) {
        top_->m_axi_wready = !silent && !writes_.empty() && tokens_ >= BEAT_COST && !stalls();
        if (!top_->m_axi_wready) return;
        tokens_ -= BEAT_COST;
        read_served_last_ = false;
    }

    void offer_answer(bool taken, bool silent) {
        if (top_->m_axi_bvalid && !taken) return;
        top_->m_axi_bvalid = 0;
        if (silent || answers_.empty() || answers_.front().ready_cycle > now_ || stalls()) return;
        const Burst& burst = answers_.front();
        if (burst.response == OKAY)
            for (size_t i = 0; i < burst.data.size(); ++i)
                if (burst.strobes[i]) memory_[burst.address - settings_.base + i] = burst.data[i];
        top_->m_axi_bvalid = 1;
        top_->m_axi_bresp = burst.response;
        answers_.pop_front();
    }

    void accept_read() {
        Burst burst = request("AR", top_->m_axi_araddr, top_->m_axi_arlen, top_->m_axi_arsize,
                              top_->m_axi_arburst);
        burst.ready_cycle = now_ + settings_.latency;
        burst.data.assign(size_t(burst.beats) * BEAT, 0xA5);
        if (burst.response != DECERR)
            std::memcpy(burst.data.data(), memory_ + (burst.address - settings_.base),
                        burst.data.size());
        reads_.push_back(std::move(burst));
    }

    void accept_write() {
        writes_.push_back(request("AW", top_->m_axi_awaddr, top_->m_axi_awlen,
                                  top_->m_axi_awsize, top_->m_axi_awburst));
    }

    void accept_beat() {
        Burst& burst = writes_.front();
        const uint8_t* data = raw(top_->m_axi_wdata);
        const uint8_t* strobe = raw(top_->m_axi_wstrb);
        for (uint32_t i = 0; i < BEAT; ++i) {
            burst.data.push_back(data[i]);
            burst.strobes.push_back(strobe[i / 8] >> (i % 8) & 1);
        }
        ++burst.done;
        if (bool(top_->m_axi_wlast) != (burst.done == burst.beats)) violate("W: last at a wrong beat");
        if (burst.done != burst.beats) return;
        burst.ready_cycle = now_ + settings_.latency;
        answers_.push_back(std::move(burst));
        writes_.pop_front();
    }

    Burst request(const char* channel, uint64_t address, uint32_t length, uint32_t size,
                  uint32_t kind) {
        Burst burst;
        burst.address = address;
        burst.beats = length + 1;
        const uint64_t bytes = uint64_t(burst.beats) * BEAT;
        const std::string name(channel);
        if (kind != 1) violate(name + ": a burst that is not INCR");
        if (BEAT >> size != 1) violate(name + ": beats narrower than the port");
        if (address % BEAT) violate(name + ": an address that is no multiple of the beat");
        if (address / 4096 != (address + bytes - 1) / 4096) violate(name + ": a burst over 4 KB");
        const uint64_t offset = address - settings_.base;
        if (address < settings_.base || offset > size_ || bytes > size_ - offset)
            burst.response = DECERR;
        else if (settings_.error_address >= 0 && uint64_t(settings_.error_address) >= offset &&
                 uint64_t(settings_.error_address) < offset + bytes)
            burst.response = SLVERR;
        return burst;
    }

    // AXI: a request or beat, once valid, stays as it is until it is taken.
    void check_stable() {
        hold("AR", ar_held_, ar_was_, top_->m_axi_arvalid, top_->m_axi_arready,
             top_->m_axi_araddr * 256 + top_->m_axi_arlen);
        hold("AW", aw_held_, aw_was_, top_->m_axi_awvalid, top_->m_axi_awready,
             top_->m_axi_awaddr * 256 + top_->m_axi_awlen);
        uint64_t head = 0;
        std::memcpy(&head, raw(top_->m_axi_wdata), std::min<size_t>(BEAT, sizeof head));
        hold("W", w_held_, w_was_, top_->m_axi_wvalid, top_->m_axi_wready, head);
    }

    void hold(const char* channel, bool& held, uint64_t& was, bool valid, bool ready,
              uint64_t payload) {
        if (held && (!valid || payload != was))
            violate(std::string(channel) + ": valid or its payload changed before ready");
        held = valid && !ready;
        was = payload;
    }

    void violate(const std::string& what) {
        if (violation_.empty())
            violation_ = what + " (cycle " + std::to_string(counters_.cycles) + ")";
    }

    bool stalls() {  // xorshift64*
        if (!settings_.stalls_per_256) return false;
        random_ ^= random_ >> 12, random_ ^= random_ << 25, random_ ^= random_ >> 27;
        return (random_ * 0x2545F4914F6CDD1DULL) >> 56 < settings_.stalls_per_256;
    }

    void dump(uint64_t time) {
        (void)time;
#if VM_TRACE
        if (!trace_ || counters_.cycles < trace_first_ || counters_.cycles > trace_last_) return;
        trace_->dump(time);
#endif
    }

    Settings settings_;
    VerilatedContext context_;
    std::unique_ptr<Vtop> top_;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
    uint64_t trace_first_ = 0, trace_last_ = 0;
#endif
    uint8_t* memory_ = nullptr;
    uint64_t size_ = 0;
    uint64_t now_ = 0;
    uint64_t random_;
    uint32_t tokens_ = BEAT_COST;
    bool read_served_last_ = false;
    std::deque<Burst> reads_, writes_, answers_;
    bool ar_held_ = false, aw_held_ = false, w_held_ = false;
    uint64_t ar_was_ = 0, aw_was_ = 0, w_was_ = 0;
    uint64_t layers_done_ = 0;
    bool running_ = false;
    Counters counters_{};
    std::vector<Counters> marks_;
    std::string violation_;
};

}  // namespace

EXPORT Simulation* tf2_create(const Settings* settings) { return new Simulation(*settings); }
EXPORT void tf2_destroy(Simulation* s) { delete s; }
EXPORT void tf2_reset(Simulation* s) { s->reset(); }
EXPORT void tf2_memory(Simulation* s, uint8_t* memory, uint64_t size) { s->set_memory(memory, size); }
EXPORT void tf2_begin(Simulation* s) { s->begin(); }
EXPORT int tf2_run(Simulation* s, uint64_t cycles) { return s->run(cycles); }
EXPORT int tf2_write(Simulation* s, uint32_t a, uint32_t v) { return s->write_register(a, v); }
EXPORT int tf2_read(Simulation* s, uint32_t a, uint32_t* v) { return s->read_register(a, v); }
EXPORT void tf2_counters(Simulation* s, Counters* out) { *out = s->counters(); }
EXPORT uint64_t tf2_marks(Simulation* s, Counters* out, uint64_t room) {
    const auto& marks = s->marks();
    std::copy_n(marks.begin(), std::min<uint64_t>(room, marks.size()), out);
    return marks.size();
}
EXPORT const char* tf2_violation(Simulation* s) { return s->violation().c_str(); }
EXPORT int tf2_trace(Simulation* s, const char* path, uint64_t first, uint64_t last) {
    return s->start_trace(path, first, last);
}
EXPORT void tf2_trace_end(Simulation* s) { s->stop_trace(); }
