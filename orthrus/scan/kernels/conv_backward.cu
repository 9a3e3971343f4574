// The causal depthwise convolution with SiLU, backward; the convolution itself is done again.
//
// The gradients of filter and bias are written for every segment of a row (rows, segments, channels, ...), to be summed
// outside, in one order.

extern "C" __device__ const int conv_backward_shared = 0;

extern "C" __global__ void __launch_bounds__(PAIRS* WARPS)
    conv_backward(Rows x_rows, const float* weights, const float* biases, const long long* lengths, int positions,
                  int channels, Rows dy_rows, Rows dx_rows, float* dweights, float* dbiases) {
    const Place me(positions, channels);
    if (me.segment >= me.segments) return;
    const int length = lengths ? static_cast<int>(lengths[me.row]) : positions;
    const Walk x(x_rows, me.row, me.channel, length, lengths), dy(dy_rows, me.row, me.channel, length, lengths);
    const Walk dx(dx_rows, me.row, me.channel, length, lengths);
    const int first = me.segment * SEGMENT, end = min(first + SEGMENT, length);
    Filter filter(weights, biases, me);
    float output[2], dweight[2][WIDTH] = {}, dbias[2] = {};
    float waiting[2][WIDTH] = {};  // gradients of x at the last WIDTH positions, the newest first, as far as known
    filter.read_before(first, x, length, me.count);
    constexpr int AHEAD = 4;  // loads of x and dy under way at a time, as in conv_forward.cu
    const int stop = end + WIDTH - 1;  // a position is part of the outputs of the WIDTH - 1 after it
    for (int start = first; start < stop; start += AHEAD) {
        Word xs[AHEAD], dys[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            const int count = start + i < min(length, stop) ? me.count : 0;
            xs[i] = load_word(x.at(start + i), count);
            dys[i] = load_word(dy.at(start + i), count);
        }
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            const int t = start + i, done = t - WIDTH + 1;
            filter(pair_of(xs[i]), output);
            const Pair<SCALAR> given = pair_of(dys[i]);
            const float dy_own[] = {number(given.first), number(given.second)};
#pragma unroll
            for (int j = 0; j < 2; ++j) {
                const float share = sigmoid(output[j]);
                const float doutput = dy_own[j] * share * (1 + output[j] * (1 - share));
                if (t < end) {
                    dbias[j] += doutput;
#pragma unroll
                    for (int k = 0; k < WIDTH; ++k) dweight[j][k] += doutput * filter.window[j][k];
                }
#pragma unroll
                for (int k = WIDTH - 1; k >= 0; --k)
                    waiting[j][k] = (k ? waiting[j][k - 1] : 0) + filter.weight[j][WIDTH - 1 - k] * doutput;
            }
            const int count = done >= first && done < end ? me.count : 0;
            store_pair(dx.at(done), waiting[0][WIDTH - 1], waiting[1][WIDTH - 1], count);
        }
    }
    const long long part = (me.row * me.segments + me.segment) * channels + me.channel;
#pragma unroll
    for (int j = 0; j < 2; ++j)
        if (j < me.count) {
            dbiases[part + j] = dbias[j];
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) dweights[(part + j) * WIDTH + k] = dweight[j][k];
        }
}
