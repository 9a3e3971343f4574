// The causal depthwise convolution with SiLU, forward.

extern "C" __device__ const int conv_forward_shared = 0;

extern "C" __global__ void __launch_bounds__(PAIRS* WARPS) conv_forward(Rows x_rows, const float* weights,
                                                                       const float* biases, const long long* lengths,
                                                                       int positions, int channels, Rows y_rows) {
    const Place me(positions, channels);
    if (me.segment >= me.segments) return;
    const int length = lengths ? static_cast<int>(lengths[me.row]) : positions;
    const Walk x(x_rows, me.row, me.channel, length, lengths), y(y_rows, me.row, me.channel, length, lengths);
    const int first = me.segment * SEGMENT, end = min(first + SEGMENT, length);
    Filter filter(weights, biases, me);
    float output[2];
    filter.read_before(first, x, length, me.count);
    constexpr int AHEAD = 8;  // loads under way at a time; the compiler moves none before a store, which may be to x
    for (int t = first; t < end; t += AHEAD) {
        Word xs[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) xs[i] = load_word(x.at(t + i), t + i < end ? me.count : 0);
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            filter(pair_of(xs[i]), output);
            store_pair(y.at(t + i), output[0] * sigmoid(output[0]), output[1] * sigmoid(output[1]),
                       t + i < end ? me.count : 0);
        }
    }
}
