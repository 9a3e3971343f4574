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
#pragma unroll 4
    for (int t = first; t < end + WIDTH - 1; ++t) {  // a position is part of the outputs of the WIDTH - 1 after it
        const int count = t < length ? me.count : 0;
        filter(load_pair(x.at(t), count), output);
        const Pair<SCALAR> given = load_pair(dy.at(t), count);
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
        const int done = t - WIDTH + 1;
        store_pair(dx.at(done), waiting[0][WIDTH - 1], waiting[1][WIDTH - 1], done >= first ? me.count : 0);
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
