// Attention on tensor cores, for 16 bits and, where TF32 is allowed, float32: as attention.cu, with
// factors rounded to the precision of the operands and sums in float32.
//
// Source: Dao 2023 (FlashAttention-2). Four warps hold 16 rows each: queries, or keys for the
// gradients of keys and values. The scores of 16 rows stay in the registers of their warp, and are
// rounded there for the next product, so that warps wait for each other only at loads.
//
// The text before defines HEAD, the width of a tile, at least that of a head; COLUMNS, the number of
// keys (or queries) of each step; and EXTRAS (attention.cuh).

#include "attention.cuh"
#include "tensor_cores.cuh"

#define THREADS 128
#define ROWS (THREADS / WARP * 16)
#define PER_LOAD (16 / (int)sizeof(T))  // numbers in 16 bytes
#define STEP (2 * PER_LOAD)
#define PITCH (HEAD + PER_LOAD)  // 16 bytes more, so that eight rows lie in different banks

typedef A Sums[4];  // a lane's part of 16 × 8 numbers

#define LANE ((int)threadIdx.x % WARP)
#define FIRST_ROW ((int)threadIdx.x / WARP * 16)  // of the warp
// where the lane's part i of the tile j of 8 columns lies
#define ROW_OF(i) (FIRST_ROW + LANE / 4 + 8 * (i / 2))
#define COLUMN_OF(j, i) (8 * j + LANE % 4 * 2 + i % 2)

// Rows of x, as tensor cores read them; zeros outside of x.
template <int TALL>
__device__ inline void load(T* tile, const T* x, index_t stride, index_t first, index_t rows,
                            index_t width) {
    bool aligned = ((size_t)x | (size_t)(stride * sizeof(T)) | (size_t)(width * sizeof(T))) % 16 == 0;
    const int each = HEAD / PER_LOAD, times = TALL * each / THREADS;
    bool whole = TALL * each == times * THREADS && width == HEAD && first + TALL <= rows;
    if (whole && aligned) {  // start all loads before waiting for the first
        uint4 words[times + 1];
        x += first * stride;
#define AT(i) ((int)threadIdx.x + (i) * THREADS)
        UNROLLED(i, times)
            words[i] = *(const uint4*)(x + AT(i) / each * stride + AT(i) % each * PER_LOAD);
        UNROLLED(i, times) {
            if (sizeof(T) == 4)
                UNROLLED(j, PER_LOAD)
                    ((unsigned*)&words[i])[j] = tf32(((const float*)&words[i])[j]);
            *(uint4*)(tile + AT(i) / each * PITCH + AT(i) % each * PER_LOAD) = words[i];
        }
        return;
    }
#pragma unroll 1
    for (int i = threadIdx.x; i < TALL * each; i += THREADS) {
        int row = i / each, column = i % each * PER_LOAD;
        const T* from = x + (first + row) * stride + column;
        alignas(16) T numbers[PER_LOAD];
        bool inside = first + row < rows;
        if (aligned && inside && column < width) *(uint4*)numbers = *(const uint4*)from;
        else
            UNROLLED(j, PER_LOAD)
                numbers[j] = inside && column + j < width ? from[j] : (T)0.0f;
        if (sizeof(T) == 4)
            UNROLLED(j, PER_LOAD) ((unsigned*)numbers)[j] = tf32((float)numbers[j]);
        *(uint4*)(tile + row * PITCH + column) = *(uint4*)numbers;
    }
}

// s = rows · columnsᵀ: the warp's 16 rows by N others, each of HEAD numbers
template <int N>
__device__ inline void products(Sums (&s)[N / 8], const T* rows, const T* columns) {
    __syncwarp();  // mma needs all lanes at once, and masks make them diverge
    rows += (FIRST_ROW + LANE % 16) * PITCH + LANE / 16 * PER_LOAD;
    columns += (LANE / 16 * 8 + LANE % 8) * PITCH + LANE / 8 % 2 * PER_LOAD;
    UNROLLED(j, N / 8)
        UNROLLED(i, 4) s[j][i] = 0;
    UNROLLED(d, HEAD / STEP) {
        unsigned left[4], right[4];  // two tiles of 8 columns
        read(left, rows + d * STEP);
        UNROLLED(j, N / 16) {
            read(right, columns + j * 16 * PITCH + d * STEP);
            multiply(s[2 * j], left, right[0], right[1]);
            multiply(s[2 * j + 1], left, right[2], right[3]);
        }
    }
}

__device__ inline unsigned word(A low, A high) {
    alignas(4) T pair[] = {(T)low, (T)high};
    return *(unsigned*)pair;
}

// sums += p · rows: p (16, N) in registers, and N rows of HEAD numbers. For TF32 a step takes the
// columns of p, and so the rows, in the order in which the lane holds them.
template <int N>
__device__ inline void add_products(Sums (&sums)[HEAD / 8], const Sums (&p)[N / 8], const T* rows) {
    __syncwarp();
    UNROLLED(k, N / STEP) {
        unsigned left[4], right[4];
        UNROLLED(i, 4) {
            const Sums& tile = p[k * STEP / 8 + (sizeof(T) == 2 ? i / 2 : 0)];
            int row = i % 2 * 2;
            left[i] = sizeof(T) == 2 ? word(tile[row], tile[row + 1]) : tf32(tile[row + i / 2]);
        }
        UNROLLED(j, HEAD / 16) {
            if (sizeof(T) == 2)
                read_turned(right, rows + (k * STEP + LANE % 16) * PITCH + (2 * j + LANE / 16) * 8);
            else
                UNROLLED(i, 4)
                    right[i] = *(const unsigned*)(rows + (k * STEP + LANE % 4 * 2 + i % 2) * PITCH +
                                                  (2 * j + i / 2) * 8 + LANE / 4);
            multiply(sums[2 * j], left, right[0], right[1]);
            multiply(sums[2 * j + 1], left, right[2], right[3]);
        }
    }
}

// The first `width` columns of the warp's rows, times a factor for the lane's upper and lower row.
__device__ inline void store(T* x, index_t stride, index_t first, index_t rows, index_t width,
                             const Sums (&sums)[HEAD / 8], A upper, A lower) {
    UNROLLED(j, HEAD / 8)
        UNROLLED(i, 4) {
            index_t row = first + ROW_OF(i);
            if (row < rows && COLUMN_OF(j, i) < width)
                x[row * stride + COLUMN_OF(j, i)] = (T)(sums[j][i] * (i < 2 ? upper : lower));
        }
}

// Whether every query of a tile sees every key of it.
__device__ inline bool open(const Scores& score, index_t first_query, int tall, index_t first_key,
                            int wide) {
    return !EXTRAS && first_query + tall <= score.queries && first_key + wide <= score.keys &&
           !(score.causal && first_key + wide - 1 > first_query);
}

KERNEL tensor_attention(const T* q, const T* k, const T* v, T* y, A* known, STRIDES(q), STRIDES(k),
                        STRIDES(v), STRIDES(y), OPTIONS) {
    SHARED_MEMORY(memory);
    T* q_tile = (T*)memory;
    T* k_tile = q_tile + ROWS * PITCH;
    T* v_tile = k_tile + COLUMNS * PITCH;
    A(*drawn)[COLUMNS + 1] = (A(*)[COLUMNS + 1])(v_tile + COLUMNS * PITCH);

    BLOCK(queries, ROWS);
    index_t first_query = (tiles - 1 - tile) * ROWS;  // the longest first
    q = PLACE(q), k = PLACE(k), v = PLACE(v), y = PLACE(y);
    Scores score = SCORES;
    Sums sums[HEAD / 8] = {};
    A largest[2] = {LOWEST, LOWEST}, total[2] = {};
    load<ROWS>(q_tile, q, q_row, first_query, queries, width);
    index_t end = causal && first_query + ROWS < keys ? first_query + ROWS : keys;
    for (index_t first_key = 0; first_key < end; first_key += COLUMNS) {
        __syncthreads();  // all have read the tiles before
        load<COLUMNS>(k_tile, k, k_row, first_key, keys, width);
        load<COLUMNS>(v_tile, v, v_row, first_key, keys, width);
        DRAW(drawn, ROWS, COLUMNS);
        __syncthreads();
        Sums s[COLUMNS / 8];
        products<COLUMNS>(s, q_tile, k_tile);
        bool all = open(score, first_query, ROWS, first_key, COLUMNS);
        UNROLLED(j, COLUMNS / 8)
            UNROLLED(i, 4)
                s[j][i] = all ? s[j][i] * score.scale
                              : score(s[j][i], first_query + ROW_OF(i), first_key + COLUMN_OF(j, i));
        UNROLLED(half, 2) {  // the lane's upper row, and its lower one
            A most = largest[half];
            UNROLLED(j, COLUMNS / 8)
                UNROLLED(i, 2) most = fmax(most, s[j][2 * half + i]);
            most = warp_max<4>(most);
            A shrink = __expf(largest[half] - most);  // the sums so far are relative to another maximum
            largest[half] = most;
            total[half] *= shrink;
            UNROLLED(j, HEAD / 8)
                UNROLLED(i, 2) sums[j][2 * half + i] *= shrink;
            UNROLLED(j, COLUMNS / 8)
                UNROLLED(i, 2) {
                    A p = __expf(s[j][2 * half + i] - most);
                    total[half] += p;
                    int row = ROW_OF(2 * half), column = COLUMN_OF(j, i);
                    s[j][2 * half + i] = DROPPING ? p * drawn[row][column] : p;
                }
        }
        add_products<COLUMNS>(sums, s, v_tile);
    }
    UNROLLED(half, 2) {
        total[half] = warp_sum<4>(total[half]);
        bool masked = EXTRAS && (allowed || added);
        total[half] = masked && total[half] == 0 ? 0 : 1 / total[half];  // 0: it has no key
        index_t query = first_query + ROW_OF(2 * half);
        A* to = known + 2 * (pair * queries + query);
        if (query < queries && LANE % 4 == 0) to[0] = largest[half], to[1] = total[half];
    }
    store(y, y_row, first_query, queries, width, sums, total[0], total[1]);
}

// The largest score, the reciprocal of the total and the delta of each query.
template <int TALL>
__device__ inline void look_up(A (*facts)[3], const A* known, const A* deltas, index_t first,
                               index_t queries) {
    for (int i = threadIdx.x; i < TALL; i += THREADS) {
        bool there = first + i < queries;
        facts[i][0] = there ? known[2 * (first + i)] : 0;
        facts[i][1] = there ? known[2 * (first + i) + 1] : 0;
        facts[i][2] = there ? deltas[first + i] : 0;
    }
}

// Weights p and slopes ds = p (g · v - delta) from the products q · k and g · v; g · v, and then p,
// are multiplied by the factors of dropout. Rows are queries, or keys if `turned`.
template <bool turned>
__device__ inline void weights_and_slopes(Sums (&p)[COLUMNS / 8], Sums (&ds)[COLUMNS / 8],
                                          const A (*facts)[3],
                                          const A (*drawn)[(turned ? ROWS : COLUMNS) + 1],
                                          index_t first_query, index_t first_key,
                                          const Scores& score) {
    bool all = turned ? open(score, first_query, COLUMNS, first_key, ROWS)
                      : open(score, first_query, ROWS, first_key, COLUMNS);
    UNROLLED(j, COLUMNS / 8)
        UNROLLED(i, 4) {
            int query = turned ? COLUMN_OF(j, i) : ROW_OF(i);
            int key = turned ? ROW_OF(i) : COLUMN_OF(j, i);
            A s = all ? p[j][i] * score.scale
                      : score(p[j][i], first_query + query, first_key + key);
            A factor = drawn ? drawn[query][key] : 1;
            A weight = __expf(s - facts[query][0]) * facts[query][1];
            bool seen = all || s != score.nothing;
            p[j][i] = seen ? weight * factor : 0;
            ds[j][i] = seen ? weight * (factor * ds[j][i] - facts[query][2]) : 0;
        }
}

// g_added: as in attention.cu
KERNEL tensor_attention_query_vjp(GIVEN, T* gq, T* g_added, GIVEN_STRIDES, STRIDES(gq), OPTIONS) {
    SHARED_MEMORY(memory);
    T* q_tile = (T*)memory;
    T* g_tile = q_tile + ROWS * PITCH;
    T* k_tile = g_tile + ROWS * PITCH;
    T* v_tile = k_tile + COLUMNS * PITCH;
    A(*facts)[3] = (A(*)[3])(v_tile + COLUMNS * PITCH);
    A(*drawn)[COLUMNS + 1] = (A(*)[COLUMNS + 1])(facts + ROWS);

    BLOCK(queries, ROWS);
    index_t first_query = (tiles - 1 - tile) * ROWS;
    FIND_GIVEN, gq = PLACE(gq);
    Scores score = SCORES;
    Sums sums[HEAD / 8] = {};
    load<ROWS>(q_tile, q, q_row, first_query, queries, width);
    load<ROWS>(g_tile, g, g_row, first_query, queries, width);
    look_up<ROWS>(facts, known, deltas, first_query, queries);
    index_t end = causal && first_query + ROWS < keys ? first_query + ROWS : keys;
    for (index_t first_key = 0; first_key < end; first_key += COLUMNS) {
        __syncthreads();
        load<COLUMNS>(k_tile, k, k_row, first_key, keys, width);
        load<COLUMNS>(v_tile, v, v_row, first_key, keys, width);
        DRAW(drawn, ROWS, COLUMNS);
        __syncthreads();
        Sums p[COLUMNS / 8], ds[COLUMNS / 8];
        products<COLUMNS>(p, q_tile, k_tile);
        products<COLUMNS>(ds, g_tile, v_tile);
        weights_and_slopes<false>(p, ds, facts, DROPPING ? drawn : nullptr, first_query, first_key,
                                  score);
        if (EXTRAS && g_added)
            UNROLLED(j, COLUMNS / 8)
                UNROLLED(i, 4) {
                    index_t query = first_query + ROW_OF(i), key = first_key + COLUMN_OF(j, i);
                    if (query < queries && key < keys)
                        g_added[(pair * queries + query) * keys + key] = (T)ds[j][i];
                }
        add_products<COLUMNS>(sums, ds, k_tile);
    }
    store(gq, gq_row, first_query, queries, width, sums, score.scale, score.scale);
}

KERNEL tensor_attention_key_vjp(GIVEN, T* gk, T* gv, GIVEN_STRIDES, STRIDES(gk), STRIDES(gv), OPTIONS) {
    SHARED_MEMORY(memory);
    T* k_tile = (T*)memory;
    T* v_tile = k_tile + ROWS * PITCH;
    T* q_tile = v_tile + ROWS * PITCH;
    T* g_tile = q_tile + COLUMNS * PITCH;
    A(*facts)[3] = (A(*)[3])(g_tile + COLUMNS * PITCH);
    A(*drawn)[ROWS + 1] = (A(*)[ROWS + 1])(facts + COLUMNS);

    BLOCK(keys, ROWS);
    index_t first_key = tile * ROWS;
    FIND_GIVEN, gk = PLACE(gk), gv = PLACE(gv);
    Scores score = SCORES;
    Sums k_sums[HEAD / 8] = {}, v_sums[HEAD / 8] = {};
    load<ROWS>(k_tile, k, k_row, first_key, keys, width);
    load<ROWS>(v_tile, v, v_row, first_key, keys, width);
    index_t first_query = causal ? first_key / COLUMNS * COLUMNS : 0;  // those before see nothing
    for (; first_query < queries; first_query += COLUMNS) {
        __syncthreads();
        load<COLUMNS>(q_tile, q, q_row, first_query, queries, width);
        load<COLUMNS>(g_tile, g, g_row, first_query, queries, width);
        look_up<COLUMNS>(facts, known, deltas, first_query, queries);
        DRAW(drawn, COLUMNS, ROWS);
        __syncthreads();
        Sums p[COLUMNS / 8], ds[COLUMNS / 8];
        products<COLUMNS>(p, k_tile, q_tile);
        products<COLUMNS>(ds, v_tile, g_tile);
        weights_and_slopes<true>(p, ds, facts, DROPPING ? drawn : nullptr, first_query, first_key,
                                 score);
        add_products<COLUMNS>(v_sums, p, g_tile);
        add_products<COLUMNS>(k_sums, ds, q_tile);
    }
    store(gk, gk_row, first_key, keys, width, k_sums, score.scale, score.scale);
    store(gv, gv_row, first_key, keys, width, v_sums, 1, 1);
}
