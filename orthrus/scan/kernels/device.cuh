// Instructions of the GPU. Tests replace this file by one for the CPU.

#define DYNAMIC_SHARED(type, name)                                    \
    extern __shared__ __align__(16) unsigned char shared_memory[]; \
    type& name = *reinterpret_cast<type*>(shared_memory)

constexpr unsigned WHOLE_WARP = 0xffffffffu;

__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ inline float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ inline float half_to_float(unsigned short bits) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(bits));
    return y;
}

__device__ inline unsigned short float_to_half(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

__device__ inline unsigned short float_to_bfloat(float x) {
#if __CUDA_ARCH__ >= 800
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(0.0f), "f"(x));
    return static_cast<unsigned short>(pair);
#else
    const unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fff : static_cast<unsigned short>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
#endif
}

__device__ inline float from_lane_xor(float x, int mask) { return __shfl_xor_sync(WHOLE_WARP, x, mask); }
__device__ inline void warp_in_step() { __syncwarp(); }

// Copies to shared memory that run on while the program does; before sm_80 the program waits for each.
template <int BYTES>
__device__ inline void copy_ahead(void* to, const void* from, bool wanted) {
#if __CUDA_ARCH__ >= 800
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from), "n"(BYTES),
                 "r"(wanted ? BYTES : 0) : "memory");
#else
    struct alignas(BYTES) Word { char bytes[BYTES]; };
    const Word zero = {};
    *static_cast<Word*>(to) = wanted ? *static_cast<const Word*>(from) : zero;
#endif
}

__device__ inline void copies_landed() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

// One store of four numbers; of `*float4`, NVRTC makes four.
__device__ inline void store_four(float* to, const float (&x)[4]) {
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(x[0]), "f"(x[1]), "f"(x[2]), "f"(x[3])
                 : "memory");
}
