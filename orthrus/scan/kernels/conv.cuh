// The layout of the causal depthwise convolution with SiLU: a thread does a pair of channels and SEGMENT positions.

constexpr int SEGMENT = 64, PAIRS = 32, WARPS = 4;  // a block: PAIRS pairs of channels, WARPS segments

struct Place {
    int channel, count, segment, segments;
    long long row;

    __device__ Place(int positions, int channels) {
        const int blocks = (channels + 2 * PAIRS - 1) / (2 * PAIRS);
        segments = (positions + SEGMENT - 1) / SEGMENT;
        const int groups = (segments + WARPS - 1) / WARPS;
        channel = (blockIdx.x % blocks * PAIRS + threadIdx.x % PAIRS) * 2;
        count = min(max(channels - channel, 0), 2);
        segment = blockIdx.x / blocks % groups * WARPS + threadIdx.x / PAIRS;
        row = blockIdx.x / blocks / groups;
    }
};

struct Filter {
    float weight[2][WIDTH], bias[2], window[2][WIDTH];  // window: the last WIDTH positions of x

    __device__ Filter(const float* weights, const float* biases, const Place& me) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
            bias[j] = j < me.count ? biases[me.channel + j] : 0;
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                weight[j][k] = j < me.count ? weights[(me.channel + j) * WIDTH + k] : 0;
                window[j][k] = 0;
            }
        }
    }
    // The outputs before SiLU of the position whose x is given.
    __device__ void operator()(const Pair<SCALAR>& x, float (&output)[2]) {
        const float next[] = {number(x.first), number(x.second)};
#pragma unroll
        for (int j = 0; j < 2; ++j) {
            output[j] = bias[j];
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                window[j][k] = k + 1 < WIDTH ? window[j][k + 1] : next[j];
                output[j] += weight[j][k] * window[j][k];
            }
        }
    }
    // Reads the positions before the first.
    __device__ void read_before(int first, const Walk& x, int length, int count) {
        float output[2];
#pragma unroll
        for (int t = first - WIDTH + 1; t < first; ++t)
            (*this)(load_pair(x.at(t), t >= 0 && t < length ? count : 0), output);
    }
};
