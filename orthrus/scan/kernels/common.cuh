// What the kernels share: number formats, pairs of channels, walks along a row, copies ahead of their use.
//
// SCALAR is float, bfloat16 or float16, the type of activations; sums and states are float. PAIRED says that two
// neighbouring channels may be read and written as one word: channels and strides are even and addresses aligned.

struct bfloat16 { unsigned short bits; };
struct float16 { unsigned short bits; };

__device__ inline float number(float x) { return x; }
__device__ inline float number(bfloat16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
__device__ inline float number(float16 x) { return half_to_float(x.bits); }
__device__ inline void narrow(float x, float& to) { to = x; }
__device__ inline void narrow(float x, bfloat16& to) { to.bits = float_to_bfloat(x); }
__device__ inline void narrow(float x, float16& to) { to.bits = float_to_half(x); }

template <typename S>
struct alignas(2 * sizeof(S)) Pair { S first, second; };

constexpr float LOG2_E = 1.44269504f;

__device__ inline float sigmoid(float x) { return reciprocal(1 + exp2_fast(-LOG2_E * x)); }

// log(1 + exp(x)) to float's precision for any x: with s = e / (2 + e), log(1 + e) = 2 artanh(s) and s <= 1/3.
__device__ inline float softplus(float x) {
    const float e = exp2_fast(-LOG2_E * fabsf(x));
    const float s = e * reciprocal(2 + e), q = s * s;
    float series = 0.1401382f;  // of artanh(s) / s = 1 + q / 3 + q^2 / 5 + ..., to 6e-9
    series = series * q + 0.13999087f;
    series = series * q + 0.20010896f;
    series = series * q + 0.33333206f;
    return fmaxf(x, 0) + (s + s) * (series * q + 1);
}

// Activations (rows, positions, ...), the last dimension side by side; steps count numbers.
struct Rows {
    SCALAR* data;
    long long row, step;
};

// The way through a row's positions, from the first on, or backwards from the last one of its length.
struct Walk {
    SCALAR* start;
    int step;  // in bytes

    __device__ Walk(const Rows& rows, long long row, int channel, int length, bool reversed)
        : start(rows.data + row * rows.row + channel + (reversed ? (length - 1) * rows.step : 0)),
          step(static_cast<int>(sizeof(SCALAR) * (reversed ? -rows.step : rows.step))) {}
    __device__ SCALAR* at(int t) const {
        return reinterpret_cast<SCALAR*>(reinterpret_cast<char*>(start) + static_cast<long long>(t) * step);
    }
};

// Two channels of a position, of which the row has `count` (0, 1 or 2).
__device__ inline void store_pair(SCALAR* to, float first, float second, int count) {
    Pair<SCALAR> pair;
    narrow(first, pair.first);
    narrow(second, pair.second);
    if (PAIRED) {
        if (count) *reinterpret_cast<Pair<SCALAR>*>(to) = pair;
    } else {
        if (count > 0) to[0] = pair.first;
        if (count > 1) to[1] = pair.second;
    }
}

__device__ inline Pair<SCALAR> load_pair(const SCALAR* from, int count) {
    const SCALAR zero = {};
    if (PAIRED) return count ? *reinterpret_cast<const Pair<SCALAR>*>(from) : Pair<SCALAR>{zero, zero};
    return {count > 0 ? from[0] : zero, count > 1 ? from[1] : zero};
}

// A pair as one word: taking it apart waits for its load to end, so what is loaded ahead stays whole until it is used.
template <int BYTES>
struct WordOf { using type = unsigned; };
template <>
struct WordOf<8> { using type = unsigned long long; };
using Word = WordOf<sizeof(Pair<SCALAR>)>::type;
union PairOrWord {
    Pair<SCALAR> pair;
    Word word;
    __device__ PairOrWord() {}
};

__device__ inline Word load_word(const SCALAR* from, int count) {
    if (PAIRED) return count ? *reinterpret_cast<const Word*>(from) : 0;
    PairOrWord both;
    both.pair = load_pair(from, count);
    return both.word;
}

__device__ inline Pair<SCALAR> pair_of(Word word) {
    PairOrWord both;
    both.word = word;
    return both.pair;
}

// Begins to copy two channels into shared memory, 0 for those that the row lacks; `copies_landed` waits for it.
__device__ inline void copy_pair(Pair<SCALAR>* to, const SCALAR* from, int count) {
    if (PAIRED) {
        copy_ahead<sizeof(Pair<SCALAR>)>(to, from, count > 0);
    } else {
        *to = load_pair(from, count);
    }
}
