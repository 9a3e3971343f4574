// The layout of the selective scan's kernels, and what its forward and its backward share.
//
// A block does one row and CHANNELS channels, and walks over the row's positions in chunks of CHUNK. A lane holds OWN
// states of two channels (a pair) in registers; LANES lanes hold a pair's STATES states, PAIRS pairs are in a warp. So
// a number of B or C that is read from shared memory serves two channels, a sum over states takes log2(LANES)
// exchanges between lanes, and no state is ever elsewhere. In a chunk each lane is the owner of its pair at the
// positions t = share, share + LANES, ...: it copies their inputs ahead of time, prepares them for the other lanes
// and writes their results.

constexpr int CHUNK = 16, OWN = 4, WARPS = 4, THREADS = 32 * WARPS;
constexpr int LANES = STATES <= 4 ? 1 : STATES <= 8 ? 2 : STATES <= 16 ? 4 : 8;
constexpr int PAIRS = 32 / LANES, CHANNELS = 2 * PAIRS * WARPS, WIDE = OWN * LANES;  // WIDE: STATES with padding
constexpr int PITCH = PAIRS + (LANES > 1 ? 8 / LANES : 0);  // of positions in `steps`, against bank conflicts
constexpr int EACH = CHUNK / LANES, TOGETHER = EACH < 4 ? EACH : 4;  // positions of an owner; prepared at a time
constexpr int QUADS = 2 * CHUNK * LANES, QUADS_EACH = (QUADS + THREADS - 1) / THREADS;  // of B and C of a chunk
static_assert(STATES <= WIDE && LANES <= CHUNK / 2, "at most 32 states");

struct Inputs {
    Rows u, delta, z, B, C;
    const float *A, *D, *bias;  // A is (channels, STATES)
    const long long* lengths;   // of rows that are read backwards, else null
    int positions, channels;
};

// Where a thread stands.
struct Place {
    int thread = threadIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int share = lane % LANES, pair = lane / LANES;
    int block, blocks, channel, count;  // channel: the pair's first; count: how many of its channels there are
    long long row;

    __device__ explicit Place(int channels) {
        blocks = (channels + CHANNELS - 1) / CHANNELS;
        block = blockIdx.x % blocks;
        row = blockIdx.x / blocks;
        channel = block * CHANNELS + 2 * (warp * PAIRS + pair);
        count = min(max(channels - channel, 0), 2);
    }
    // Address of a chunk's states, two float4 a thread, in `kept`.
    __device__ long long kept(int chunks, int chunk) const {
        return ((row * chunks + chunk) * blocks + block) * 2 * THREADS + thread;
    }
};

// Four numbers of B or C at a position, one of the QUADS of a chunk: all are of one lane's states.
struct Quad {
    int t, which, share;  // which: 0 for B, 1 for C

    __device__ explicit Quad(int number) : t(number / (2 * LANES)), which(number / LANES % 2), share(number % LANES) {}
};

// A thread's share of B and C, loaded into registers ahead of time.
struct Ahead {
    Word loaded[QUADS_EACH][2];

    __device__ void load(const Walk& B, const Walk& C, int first, int length, int thread) {
#pragma unroll
        for (int i = 0; i < QUADS_EACH; ++i) {
            const Quad quad(i * THREADS + thread);
            const int at = first + quad.t, n = quad.share * OWN, there = at < length ? STATES - n : 0;
            const SCALAR* const from = (quad.which ? C.at(at) : B.at(at)) + n;
            loaded[i][0] = load_word(from, min(max(there, 0), 2));
            loaded[i][1] = load_word(from + 2, min(max(there - 2, 0), 2));
        }
    }
    __device__ void numbers(int i, float (&to)[OWN]) const {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const Pair<SCALAR> pair = pair_of(loaded[i][half]);
            to[2 * half] = number(pair.first);
            to[2 * half + 1] = number(pair.second);
        }
    }
};

// Adds up `part` over the lanes of a pair; the lane with share i is given sum i.
__device__ inline float own_sum(float (&part)[LANES], int share) {
#pragma unroll
    for (int bit = 1; bit < LANES; bit *= 2) {
        const bool upper = share & bit;
#pragma unroll
        for (int i = 0; i < LANES; i += 2 * bit) {
            const float kept = upper ? part[i + bit] : part[i], sent = upper ? part[i] : part[i + bit];
            part[i] = kept + from_lane_xor(sent, bit);
        }
    }
    return part[0];
}
