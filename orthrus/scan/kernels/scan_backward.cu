// The selective scan, backward, from the states that forward kept before every chunk.
//
// Chunks go from the last to the first. Within one, positions are done SPAN at a time, the last ones first: from the
// state before them forward is done again, decays and states kept in registers, then gradients walk back.
//
// dB and dC are sums over channels. So that lanes can add them up without choosing among registers, register r of a
// pair holds state r ^ turn, where turn is the pair's number modulo OWN: what a lane keeps and what it sends to its
// neighbour then lies in fixed registers. B and C lie in shared memory once for each turn. Warps' sums are added in one
// order and written to `dBC` (blocks, rows, positions, 2, STATES), to be summed over blocks. dA, dD, dbias are written
// for every SEGMENT of a row (rows, segments, ...), so that no sum in float runs over many terms.

constexpr int SPAN = LANES > 4 ? LANES : 4, SEGMENT = 16 * CHUNK, SLOTS = WARPS * PAIRS / OWN;
constexpr float LN_2 = 0.693147181f;
static_assert(PAIRS >= OWN && SPAN % LANES == 0);

struct Gradients {
    Rows u, delta, z;
    float *A, *D, *bias, *BC;
};

struct Backward {
    Pair<SCALAR> inputs[2][4][EACH][THREADS];           // u, delta, dy, z of this chunk and the next, by owner
    float4 kept[2][THREADS];                            // states before the next chunk
    float4 starts[CHUNK / SPAN][2][THREADS];            // states before every span
    float4 steps[WARPS][CHUNK][PITCH];                  // delta of both channels, inflow of both channels
    float2 dy[WARPS][CHUNK][PAIRS];                     // gradient of what the gate multiplies
    float states[CHUNK][2][OWN][WIDE];                  // B and C for each turn
    float sums[SLOTS][CHUNK * 2 * WIDE + WIDE];         // dB and dC of OWN pairs; WIDE more against bank conflicts
};
extern "C" __device__ const int scan_backward_shared = sizeof(Backward);

// Adds up `part` over OWN neighbouring pairs; the lane whose turn is i is given state i.
__device__ inline float sum_over_turns(float (&part)[OWN]) {
#pragma unroll
    for (int bit = 1; bit < OWN; bit *= 2)
#pragma unroll
        for (int r = 0; r < OWN; r += 2 * bit) part[r] += from_lane_xor(part[r + bit], bit * LANES);
    return part[0];
}

__device__ inline float sum_over_lanes(float x) {
#pragma unroll
    for (int bit = 1; bit < LANES; bit *= 2) x += from_lane_xor(x, bit);
    return x;
}

struct Reader {
    const Walk *from, *B, *C;
    const float4* kept;
    int length, chunks;

    // Begins to fetch a chunk.
    __device__ void fetch(Backward& shared, int turn, int chunk, Ahead& ahead, const Place& me) const {
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const int t = chunk * CHUNK + i * LANES + me.share;
#pragma unroll
            for (int walk = 0; walk < 3 + GATED; ++walk)
                copy_pair(&shared.inputs[turn][walk][i][me.thread], from[walk].at(t),
                          t < length ? me.count : 0);
        }
        for (int j = 0; j < 2; ++j)
            copy_ahead<sizeof(float4)>(&shared.kept[j][me.thread], kept + me.kept(chunks, chunk) + j * THREADS,
                                       true);
        ahead.load(*B, *C, chunk * CHUNK, length, me.thread);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, SPAN > 4 ? 2 : 3)
    scan_backward(Inputs in, Rows dy_rows, const float4* kept, Gradients out) {
    DYNAMIC_SHARED(Backward, shared);
    const Place me(in.channels);
    const bool reversed = in.lengths != nullptr;
    const int length = reversed ? static_cast<int>(in.lengths[me.row]) : in.positions;
    const int chunks = (in.positions + CHUNK - 1) / CHUNK, segments = (in.positions + SEGMENT - 1) / SEGMENT;
    const int turn_of_pair = me.pair % OWN;
    const Walk from[] = {{in.u, me.row, me.channel, length, reversed}, {in.delta, me.row, me.channel, length, reversed},
                         {dy_rows, me.row, me.channel, length, reversed},
                         {GATED ? in.z : in.u, me.row, me.channel, length, reversed}};
    const Walk B(in.B, me.row, 0, length, reversed), C(in.C, me.row, 0, length, reversed);
    const Walk du(out.u, me.row, me.channel, length, reversed), ddelta(out.delta, me.row, me.channel, length, reversed);
    const Walk dz(GATED ? out.z : out.u, me.row, me.channel, length, reversed);
    float* const dBC = out.BC + (me.block * (gridDim.x / me.blocks) + me.row) * in.positions * 2 * STATES;
    const Reader reader{from, &B, &C, kept, length, chunks};

    float A[2][OWN], dA[2][OWN], later[2][OWN];  // later: gradient of the state, from the positions done so far
    float skip[2], bias[2], dskip[2] = {}, dbias[2] = {};
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        skip[j] = j < me.count ? in.D[me.channel + j] : 0;
        bias[j] = j < me.count ? in.bias[me.channel + j] : 0;
#pragma unroll
        for (int r = 0; r < OWN; ++r) {
            const int n = me.share * OWN + (r ^ turn_of_pair);
            A[j][r] = j < me.count && n < STATES ? LOG2_E * in.A[(me.channel + j) * STATES + n] : 0;
            dA[j][r] = later[j][r] = 0;
        }
    }

    Ahead ahead;
    const int last = (length + CHUNK - 1) / CHUNK - 1;
    reader.fetch(shared, last & 1, last, ahead, me);
    for (int chunk = last; chunk >= 0; --chunk) {
        const auto& inputs = shared.inputs[chunk & 1];
        copies_landed();
        float h[2][OWN];
#pragma unroll
        for (int j = 0; j < 2; ++j)
#pragma unroll
            for (int r = 0; r < OWN; ++r)
                h[j][r] = reinterpret_cast<const float*>(&shared.kept[j][me.thread])[r ^ turn_of_pair];
#pragma unroll
        for (int start = 0; start < EACH; start += TOGETHER) {
            float4 step[TOGETHER];  // all before the first is stored, so that none waits for another
            float2 gated[TOGETHER];
#pragma unroll
            for (int i = 0; i < TOGETHER; ++i) {
                const Pair<SCALAR> u = inputs[0][start + i][me.thread], raw = inputs[1][start + i][me.thread];
                const Pair<SCALAR> dy = inputs[2][start + i][me.thread];
                const float delta0 = softplus(number(raw.first) + bias[0]);
                const float delta1 = softplus(number(raw.second) + bias[1]);
                step[i] = make_float4(delta0, delta1, delta0 * number(u.first), delta1 * number(u.second));
                gated[i] = make_float2(number(dy.first), number(dy.second));
                if (GATED) {
                    const Pair<SCALAR> z = inputs[3][start + i][me.thread];
                    gated[i].x *= number(z.first) * sigmoid(number(z.first));
                    gated[i].y *= number(z.second) * sigmoid(number(z.second));
                }
            }
#pragma unroll
            for (int i = 0; i < TOGETHER; ++i) {
                const int t = (start + i) * LANES + me.share;
                shared.steps[me.warp][t][me.pair] = step[i];
                shared.dy[me.warp][t][me.pair] = gated[i];
            }
        }
#pragma unroll
        for (int i = 0; i < QUADS_EACH; ++i) {
            const Quad quad(i * THREADS + me.thread);
            float x[OWN];
            ahead.numbers(i, x);
            if (quad.t < CHUNK) {
#pragma unroll
                for (int turn = 0; turn < OWN; ++turn)
                    *reinterpret_cast<float4*>(&shared.states[quad.t][quad.which][turn][quad.share * OWN]) =
                        make_float4(x[turn], x[1 ^ turn], x[2 ^ turn], x[3 ^ turn]);
            }
        }
        __syncthreads();
        if (chunk) reader.fetch(shared, (chunk - 1) & 1, chunk - 1, ahead, me);

        const float4* span_steps;
        const float* span_states;
        const auto own_states = [&](int k, int which) {
            return *reinterpret_cast<const float4*>(span_states + (k * 2 + which) * OWN * WIDE);
        };
        const auto advance = [&](int k, float (&decay)[2][OWN]) {
            const float4 step = span_steps[k * PITCH], b = own_states(k, 0);
            const float delta[] = {step.x, step.y}, inflow[] = {step.z, step.w}, own_b[] = {b.x, b.y, b.z, b.w};
#pragma unroll
            for (int j = 0; j < 2; ++j)
#pragma unroll
                for (int r = 0; r < OWN; ++r) {
                    decay[j][r] = exp2_fast(delta[j] * A[j][r]);
                    h[j][r] = decay[j][r] * h[j][r] + inflow[j] * own_b[r];
                }
        };
#pragma unroll 1
        for (int span = 0; span < CHUNK; span += SPAN) {
            float4* const start = &shared.starts[span / SPAN][0][me.thread];
            span_steps = &shared.steps[me.warp][span][me.pair];
            span_states = &shared.states[span][0][turn_of_pair][me.share * OWN];
            start[0] = make_float4(h[0][0], h[0][1], h[0][2], h[0][3]);
            start[THREADS] = make_float4(h[1][0], h[1][1], h[1][2], h[1][3]);
            if (span + SPAN < CHUNK) {
#pragma unroll
                for (int k = 0; k < SPAN; ++k) {
                    float decay[2][OWN];
                    advance(k, decay);
                }
            }
        }
#pragma unroll 1
        for (int span = CHUNK - SPAN; span >= 0; span -= SPAN) {
            span_steps = &shared.steps[me.warp][span][me.pair];
            span_states = &shared.states[span][0][turn_of_pair][me.share * OWN];
            const float2* const span_dy = &shared.dy[me.warp][span][me.pair];
            float* const sums = shared.sums[me.warp * (PAIRS / OWN) + me.pair / OWN];
            float* const span_sums = sums + span * 2 * WIDE + me.share * OWN + turn_of_pair;
            const float4 start0 = shared.starts[span / SPAN][0][me.thread];
            const float4 start1 = shared.starts[span / SPAN][1][me.thread];
            h[0][0] = start0.x; h[0][1] = start0.y; h[0][2] = start0.z; h[0][3] = start0.w;
            h[1][0] = start1.x; h[1][1] = start1.y; h[1][2] = start1.z; h[1][3] = start1.w;
            float decay[SPAN][2][OWN], before[SPAN + 1][2][OWN];
#pragma unroll
            for (int k = 0; k <= SPAN; ++k) {
#pragma unroll
                for (int j = 0; j < 2; ++j)
#pragma unroll
                    for (int r = 0; r < OWN; ++r) before[k][j][r] = h[j][r];
                if (k < SPAN) advance(k, decay[k]);
            }

#pragma unroll
            for (int group = SPAN - LANES; group >= 0; group -= LANES) {
                float readout[2][LANES], dinflow[2][LANES], dexponent[2][LANES];
#pragma unroll
                for (int i = LANES - 1; i >= 0; --i) {
                    const int k = group + i;
                    const float4 step = span_steps[k * PITCH], b = own_states(k, 0), c = own_states(k, 1);
                    const float2 dys = span_dy[k * PAIRS];
                    const float delta[] = {step.x, step.y}, inflow[] = {step.z, step.w}, dy[] = {dys.x, dys.y};
                    const float own_b[] = {b.x, b.y, b.z, b.w}, own_c[] = {c.x, c.y, c.z, c.w};
                    float dB[OWN] = {}, dC[OWN] = {};
#pragma unroll
                    for (int j = 0; j < 2; ++j) {
                        readout[j][i] = dinflow[j][i] = dexponent[j][i] = 0;
#pragma unroll
                        for (int r = 0; r < OWN; ++r) {
                            const float dh = own_c[r] * dy[j] + later[j][r];
                            dC[r] += before[k + 1][j][r] * dy[j];
                            dB[r] += dh * inflow[j];
                            if (GATED) readout[j][i] += before[k + 1][j][r] * own_c[r];
                            dinflow[j][i] += dh * own_b[r];
                            later[j][r] = dh * decay[k][j][r];
                            const float of_exponent = later[j][r] * before[k][j][r];
                            dexponent[j][i] += of_exponent * A[j][r];
                            dA[j][r] += of_exponent * delta[j];
                        }
                    }
                    span_sums[k * 2 * WIDE] = sum_over_turns(dB);
                    span_sums[k * 2 * WIDE + WIDE] = sum_over_turns(dC);
                }
                const int own = span + group + me.share, i = (span + group) / LANES, t = chunk * CHUNK + own;
                const float4 step = shared.steps[me.warp][own][me.pair];
                const float2 dys = shared.dy[me.warp][own][me.pair];
                const Pair<SCALAR> us = inputs[0][i][me.thread], raws = inputs[1][i][me.thread];
                const Pair<SCALAR> outer = inputs[2][i][me.thread], zs = inputs[GATED ? 3 : 0][i][me.thread];
                const float delta[] = {step.x, step.y}, dy[] = {dys.x, dys.y};
                const float u[] = {number(us.first), number(us.second)};
                const float x[] = {number(raws.first) + bias[0], number(raws.second) + bias[1]};
                const float given[] = {number(outer.first), number(outer.second)};
                const float z[] = {number(zs.first), number(zs.second)};
                float du_own[2], ddelta_own[2], dz_own[2];
#pragma unroll
                for (int j = 0; j < 2; ++j) {
                    const float din = own_sum(dinflow[j], me.share);
                    const float dexp = LN_2 * own_sum(dexponent[j], me.share);
                    du_own[j] = din * delta[j] + skip[j] * dy[j];
                    ddelta_own[j] = (dexp + din * u[j]) * sigmoid(x[j]);
                    dskip[j] += dy[j] * u[j];
                    dbias[j] += ddelta_own[j];
                    if (GATED) {
                        const float share = sigmoid(z[j]), open = own_sum(readout[j], me.share) + skip[j] * u[j];
                        dz_own[j] = given[j] * open * share * (1 + z[j] * (1 - share));
                    }
                }
                const int count = t < length ? me.count : 0;
                store_pair(du.at(t), du_own[0], du_own[1], count);
                store_pair(ddelta.at(t), ddelta_own[0], ddelta_own[1], count);
                if (GATED) store_pair(dz.at(t), dz_own[0], dz_own[1], count);
            }
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < QUADS_EACH; ++i) {
            const Quad quad(i * THREADS + me.thread);
            const int t = chunk * CHUNK + quad.t, n = quad.share * OWN;
            if (quad.t < CHUNK && t < length && n < STATES) {
                float sum[OWN] = {};
#pragma unroll
                for (int slot = 0; slot < SLOTS; ++slot) {
                    const float* const of_slot = &shared.sums[slot][(i * THREADS + me.thread) * OWN];
                    const float4 part = *reinterpret_cast<const float4*>(of_slot);
                    sum[0] += part.x;
                    sum[1] += part.y;
                    sum[2] += part.z;
                    sum[3] += part.w;
                }
                const long long position = reversed ? length - 1 - t : t;
                float* const to = dBC + (position * 2 + quad.which) * STATES + n;
                if (STATES % OWN == 0) {
                    store_four(to, sum);
                } else {
#pragma unroll
                    for (int r = 0; r < OWN; ++r)
                        if (n + r < STATES) to[r] = sum[r];
                }
            }
        }
        if (chunk % (SEGMENT / CHUNK) == 0) {
            const long long part = (me.row * segments + chunk / (SEGMENT / CHUNK)) * in.channels + me.channel;
#pragma unroll
            for (int j = 0; j < 2; ++j) {
                const float dskip_of_pair = sum_over_lanes(dskip[j]), dbias_of_pair = sum_over_lanes(dbias[j]);
                if (j < me.count && me.share == 0) {
                    out.D[part + j] = dskip_of_pair;
                    out.bias[part + j] = dbias_of_pair;
                }
                dskip[j] = dbias[j] = 0;
#pragma unroll
                for (int r = 0; r < OWN; ++r) {
                    const int n = me.share * OWN + (r ^ turn_of_pair);
                    if (j < me.count && n < STATES) out.A[(part + j) * STATES + n] = dA[j][r];
                    dA[j][r] = 0;
                }
            }
        }
    }
}
