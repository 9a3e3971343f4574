// The selective scan, forward. `kept`, where it is wanted, gets the states before every chunk.

struct Forward {
    Pair<SCALAR> inputs[2][3][EACH][THREADS];  // u, delta, z of this chunk and the next, by owner
    float4 steps[WARPS][CHUNK][PITCH];         // delta of both channels, inflow of both channels
    float states[2][CHUNK][2][WIDE];           // B and C
};
extern "C" __device__ const int scan_forward_shared = sizeof(Forward);

__device__ inline void copy_inputs(Pair<SCALAR> (*to)[EACH][THREADS], const Walk* from, int first,
                                   int length, const Place& me) {
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int t = first + i * LANES + me.share;
#pragma unroll
        for (int walk = 0; walk < 2 + GATED; ++walk)
            copy_pair(&to[walk][i][me.thread], from[walk].at(t), t < length ? me.count : 0);
    }
}

// Six blocks on a multiprocessor leave a thread 85 registers, which the compiler interleaves with; 4 states need more.
extern "C" __global__ void __launch_bounds__(THREADS, LANES == 2 || LANES == 4 ? 6 : 4)
    scan_forward(Inputs in, Rows y_rows, float4* kept) {
    DYNAMIC_SHARED(Forward, shared);
    const Place me(in.channels);
    const bool reversed = in.lengths != nullptr;
    const int length = reversed ? static_cast<int>(in.lengths[me.row]) : in.positions;
    const Walk from[] = {{in.u, me.row, me.channel, length, reversed}, {in.delta, me.row, me.channel, length, reversed},
                         {GATED ? in.z : in.u, me.row, me.channel, length, reversed}};
    const Walk B(in.B, me.row, 0, length, reversed), C(in.C, me.row, 0, length, reversed);
    const Walk y(y_rows, me.row, me.channel, length, reversed);
    const int chunks = (in.positions + CHUNK - 1) / CHUNK;

    float A[2][OWN], h[2][OWN], skip[2], bias[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        skip[j] = j < me.count ? in.D[me.channel + j] : 0;
        bias[j] = j < me.count ? in.bias[me.channel + j] : 0;
#pragma unroll
        for (int r = 0; r < OWN; ++r) {
            const int n = me.share * OWN + r;
            A[j][r] = j < me.count && n < STATES ? LOG2_E * in.A[(me.channel + j) * STATES + n] : 0;
            h[j][r] = 0;
        }
    }

    Ahead ahead;
    copy_inputs(shared.inputs[0], from, 0, length, me);
    ahead.load(B, C, 0, length, me.thread);
    for (int first = 0, turn = 0; first < length; first += CHUNK, turn ^= 1) {
        copies_landed();
        const auto& inputs = shared.inputs[turn];
#pragma unroll
        for (int start = 0; start < EACH; start += TOGETHER) {
            float4 step[TOGETHER];  // all before the first is stored, so that none waits for another
#pragma unroll
            for (int i = 0; i < TOGETHER; ++i) {
                const Pair<SCALAR> u = inputs[0][start + i][me.thread], raw = inputs[1][start + i][me.thread];
                const float delta0 = softplus(number(raw.first) + bias[0]);
                const float delta1 = softplus(number(raw.second) + bias[1]);
                step[i] = make_float4(delta0, delta1, delta0 * number(u.first), delta1 * number(u.second));
            }
#pragma unroll
            for (int i = 0; i < TOGETHER; ++i)
                shared.steps[me.warp][(start + i) * LANES + me.share][me.pair] = step[i];
        }
#pragma unroll
        for (int i = 0; i < QUADS_EACH; ++i) {
            const Quad quad(i * THREADS + me.thread);
            float x[OWN];
            ahead.numbers(i, x);
            if (quad.t < CHUNK)
                *reinterpret_cast<float4*>(&shared.states[turn][quad.t][quad.which][quad.share * OWN]) =
                    make_float4(x[0], x[1], x[2], x[3]);
        }
        if (kept) {
            float4* const at = kept + me.kept(chunks, first / CHUNK);
            at[0] = make_float4(h[0][0], h[0][1], h[0][2], h[0][3]);
            at[THREADS] = make_float4(h[1][0], h[1][1], h[1][2], h[1][3]);
        }
        __syncthreads();
        if (first + CHUNK < length) {
            copy_inputs(shared.inputs[turn ^ 1], from, first + CHUNK, length, me);
            ahead.load(B, C, first + CHUNK, length, me.thread);
        }

#pragma unroll(LANES > 2 ? 2 : 1)
        for (int i = 0; i < EACH; ++i) {
            float readout[2][LANES];
#pragma unroll
            for (int k = 0; k < LANES; ++k) {
                const int t = i * LANES + k;
                const float4 step = shared.steps[me.warp][t][me.pair];
                const float4 b = *reinterpret_cast<const float4*>(&shared.states[turn][t][0][me.share * OWN]);
                const float4 c = *reinterpret_cast<const float4*>(&shared.states[turn][t][1][me.share * OWN]);
                const float delta[] = {step.x, step.y}, inflow[] = {step.z, step.w};
                const float b_own[] = {b.x, b.y, b.z, b.w}, c_own[] = {c.x, c.y, c.z, c.w};
#pragma unroll
                for (int j = 0; j < 2; ++j) {
                    readout[j][k] = 0;
#pragma unroll
                    for (int r = 0; r < OWN; ++r) {
                        h[j][r] = exp2_fast(delta[j] * A[j][r]) * h[j][r] + inflow[j] * b_own[r];
                        readout[j][k] += h[j][r] * c_own[r];
                    }
                }
            }
            const Pair<SCALAR> u = inputs[0][i][me.thread];
            float out[] = {own_sum(readout[0], me.share) + skip[0] * number(u.first),
                           own_sum(readout[1], me.share) + skip[1] * number(u.second)};
            if (GATED) {
                const Pair<SCALAR> z = inputs[2][i][me.thread];
                out[0] *= number(z.first) * sigmoid(number(z.first));
                out[1] *= number(z.second) * sigmoid(number(z.second));
            }
            const int t = first + i * LANES + me.share;
            store_pair(y.at(t), out[0], out[1], t < length ? me.count : 0);
        }
        warp_in_step();  // all lanes have read `steps` before the next chunk's are written
    }
}
