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
#pragma unroll 8
    for (int t = first; t < end; ++t) {
        filter(load_pair(x.at(t), me.count), output);
        store_pair(y.at(t), output[0] * sigmoid(output[0]), output[1] * sigmoid(output[1]), me.count);
    }
}
