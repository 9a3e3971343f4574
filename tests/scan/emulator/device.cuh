// The GPU's instructions on a CPU, for tests: every thread of a block is a coroutine that runs until it must wait for
// others. `downwards` runs threads in the opposite order, so that a missing barrier shows in one order or the other.

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#define __device__
#define __global__
#define __launch_bounds__(...)
#define DYNAMIC_SHARED(type, name) type& name = *reinterpret_cast<type*>(shared_memory.data())

using std::max;
using std::min;

struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

struct Index { unsigned x; };
struct Thread {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    Index index;
    unsigned in_block = 0, in_warp = 0;  // barriers passed
    bool done;
};

static std::vector<Thread> threads;
static std::vector<double> shared_memory;  // double: aligned
static std::vector<float> exchanged[2];
static ucontext_t scheduler;
static Thread* current;
static Index blockIdx, gridDim;
static const std::function<void()>* program;
#define threadIdx (current->index)

// Waits until every other thread between two numbers that has not ended came as far.
static void wait_for(unsigned Thread::*barrier, unsigned first, unsigned end) {
    const unsigned reached = ++(current->*barrier);
    const auto behind = [&] {
        for (unsigned i = first; i < end; ++i)
            if (!threads[i].done && threads[i].*barrier < reached) return true;
        return false;
    };
    while (behind()) swapcontext(&current->context, &scheduler);
}

inline void warp_in_step() {
    const unsigned first = threadIdx.x / 32 * 32;
    wait_for(&Thread::in_warp, first, first + 32);
}
inline void __syncthreads() { wait_for(&Thread::in_block, 0, static_cast<unsigned>(threads.size())); }

inline float from_lane_xor(float x, int mask) {
    auto& values = exchanged[current->in_warp % 2];
    values[threadIdx.x] = x;
    warp_in_step();
    return values[threadIdx.x ^ mask];
}

template <int BYTES>
void copy_ahead(void* to, const void* from, bool wanted) {
    wanted ? std::memcpy(to, from, BYTES) : std::memset(to, 0, BYTES);
}
inline void copies_landed() {}
inline void store_four(float* to, const float (&x)[4]) { std::copy(x, x + 4, to); }

inline float exp2_fast(float x) { return std::exp2(x); }
inline float reciprocal(float x) { return 1 / x; }
inline unsigned __float_as_uint(float x) { unsigned y; std::memcpy(&y, &x, 4); return y; }
inline float __uint_as_float(unsigned x) { float y; std::memcpy(&y, &x, 4); return y; }
inline float half_to_float(unsigned short bits) { _Float16 y; std::memcpy(&y, &bits, 2); return y; }
inline unsigned short float_to_half(float x) {
    const _Float16 y = static_cast<_Float16>(x);
    unsigned short bits;
    std::memcpy(&bits, &y, 2);
    return bits;
}
inline unsigned short float_to_bfloat(float x) {
    const unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fff : static_cast<unsigned short>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static void entry() {
    (*program)();
    current->done = true;
}

static void launch(unsigned blocks, unsigned size, unsigned shared, bool downwards, const std::function<void()>& kernel) {
    threads.resize(size);
    exchanged[0].assign(size, 0);
    exchanged[1].assign(size, 0);
    gridDim.x = blocks;
    program = &kernel;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
        shared_memory.assign(shared / 8 + 2, std::nan(""));
        for (unsigned i = 0; i < size; ++i) {
            Thread& thread = threads[i];
            thread.index.x = i;
            thread.in_block = thread.in_warp = 0;
            thread.done = false;
            getcontext(&thread.context);
            thread.context.uc_stack.ss_sp = thread.stack.data();
            thread.context.uc_stack.ss_size = thread.stack.size();
            thread.context.uc_link = &scheduler;
            makecontext(&thread.context, entry, 0);
        }
        for (bool left = true; left;) {
            left = false;
            for (unsigned i = 0; i < size; ++i) {
                current = &threads[downwards ? size - 1 - i : i];
                if (current->done) continue;
                swapcontext(&scheduler, &current->context);
                left |= !current->done;
            }
        }
    }
}
