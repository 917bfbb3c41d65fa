// Attention in tiles: dropout(softmax(scale · Q Kᵀ + mask)) V without a matrix (queries, keys) in
// memory.
//
// Source: Dao 2023 (FlashAttention-2), algorithms 1 and 2. The backward pass computes the weights
// again from the largest score of each row and the reciprocal of its total, once for dQ and once for
// dK and dV: one product in seven more than with atomics, but the same bits in every run. Dropout is
// drawn again, too.
//
// The text before defines QUERIES and KEYS, the sizes of a tile; HEAD, its width, at least that of a
// head; and EXTRAS (attention.cuh). A thread holds 4 × 4 numbers of a tile (QUERIES, KEYS): 4 rows in
// a run and every (KEYS / 4)th column, so that the threads of a warp read different banks.

#include "attention.cuh"

#define ACROSS (KEYS / 4)  // threads that share a row; a power of 2, so they lie in one warp
#define DOWN (QUERIES / 4)
#define THREADS (DOWN * ACROSS)
#define ROW (HEAD + 1)  // one more, so that a column lies in different banks

__device__ inline void load(A (*tile)[ROW], int tall, const T* x, index_t stride, index_t first,
                            index_t rows, index_t width) {
    for (int i = threadIdx.x; i < tall * HEAD; i += THREADS) {
        int row = i / HEAD, column = i % HEAD;
        bool inside = first + row < rows && column < width;
        tile[row][column] = inside ? (A)x[(first + row) * stride + column] : 0;
    }
}

// s[i][j] = Σ a[down + i] · b[across + ACROSS j]
__device__ inline void products(A (&s)[4][4], A (*a)[ROW], A (*b)[ROW], int down, int across) {
    UNROLLED(i, 4)
        UNROLLED(j, 4) s[i][j] = 0;
#pragma unroll 8
    for (int d = 0; d < HEAD; d++) {
        A left[4], right[4];
        UNROLLED(i, 4) left[i] = a[down + i][d];
        UNROLLED(j, 4) right[j] = b[across + ACROSS * j][d];
        UNROLLED(i, 4)
            UNROLLED(j, 4) s[i][j] += left[i] * right[j];
    }
}

KERNEL attention(const T* q, const T* k, const T* v, T* y, A* known, STRIDES(q), STRIDES(k),
                 STRIDES(v), STRIDES(y), OPTIONS) {
    SHARED_MEMORY(memory);
    A(*q_tile)[ROW] = (A(*)[ROW])memory;
    A(*k_tile)[ROW] = q_tile + QUERIES;
    A(*v_tile)[ROW] = k_tile + KEYS;
    A(*p_tile)[KEYS + 1] = (A(*)[KEYS + 1])(v_tile + KEYS);

    BLOCK(queries, QUERIES);
    index_t first_query = (tiles - 1 - tile) * QUERIES;  // the longest first
    q = PLACE(q), k = PLACE(k), v = PLACE(v), y = PLACE(y);
    int down = threadIdx.x / ACROSS * 4, across = threadIdx.x % ACROSS;
    Scores score = SCORES;
    A sums[4][HEAD / ACROSS] = {}, largest[4], total[4] = {};
    UNROLLED(i, 4) largest[i] = LOWEST;
    load(q_tile, QUERIES, q, q_row, first_query, queries, width);
    index_t end = causal && first_query + QUERIES < keys ? first_query + QUERIES : keys;
    for (index_t first_key = 0; first_key < end; first_key += KEYS) {
        __syncthreads();  // all have read the tiles before
        load(k_tile, KEYS, k, k_row, first_key, keys, width);
        load(v_tile, KEYS, v, v_row, first_key, keys, width);
        DRAW(p_tile, QUERIES, KEYS);
        __syncthreads();
        A s[4][4];
        products(s, q_tile, k_tile, down, across);
        UNROLLED(i, 4) {
            A most = largest[i];
            UNROLLED(j, 4) {
                s[i][j] = score(s[i][j], first_query + down + i, first_key + across + ACROSS * j);
                most = fmax(most, s[i][j]);
            }
            most = warp_max<ACROSS>(most);
            A shrink = exp(largest[i] - most);  // the sums so far are relative to another maximum
            largest[i] = most;
            total[i] *= shrink;
            UNROLLED(j, HEAD / ACROSS) sums[i][j] *= shrink;
            UNROLLED(j, 4) {
                A p = exp(s[i][j] - most);
                total[i] += p;
                A& place = p_tile[down + i][across + ACROSS * j];
                place = DROPPING ? place * p : p;
            }
        }
        __syncthreads();
        for (int key = 0; key < KEYS; key++)
            UNROLLED(i, 4) {
                A p = p_tile[down + i][key];
                UNROLLED(j, HEAD / ACROSS)
                    sums[i][j] += p * v_tile[key][across + ACROSS * j];
            }
    }
    UNROLLED(i, 4) {
        total[i] = warp_sum<ACROSS>(total[i]);
        index_t query = first_query + down + i;
        if (query >= queries) continue;
        bool masked = EXTRAS && (allowed || added);
        A share = masked && total[i] == 0 ? 0 : 1 / total[i];  // 0: it has no key
        A* to = known + 2 * (pair * queries + query);
        if (across == 0) to[0] = largest[i], to[1] = share;
        UNROLLED(j, HEAD / ACROSS)
            if (across + ACROSS * j < width)
                y[query * y_row + across + ACROSS * j] = (T)(sums[i][j] * share);
    }
}

// Weights p and slopes ds = p (g · v - delta) of a thread's queries and keys; g · v, and then p, are
// multiplied by the factors of dropout.
__device__ inline void weights_and_slopes(A (&p)[4][4], A (&ds)[4][4], A (*q)[ROW], A (*g)[ROW],
                                          A (*k)[ROW], A (*v)[ROW], A (*drawn)[KEYS + 1],
                                          const A* known, const A* deltas, index_t first_query,
                                          index_t first_key, const Scores& score) {
    int down = threadIdx.x / ACROSS * 4, across = threadIdx.x % ACROSS;
    products(p, q, k, down, across);
    products(ds, g, v, down, across);
    UNROLLED(i, 4) {
        index_t query = first_query + down + i;
        bool there = query < score.queries;
        A largest = there ? known[2 * query] : 0, share = there ? known[2 * query + 1] : 0;
        A delta = there ? deltas[query] : 0;
        UNROLLED(j, 4) {
            A s = score(p[i][j], query, first_key + across + ACROSS * j);
            A factor = drawn ? drawn[down + i][across + ACROSS * j] : 1;
            p[i][j] = s == score.nothing ? 0 : exp(s - largest) * share;
            ds[i][j] = s == score.nothing ? 0 : p[i][j] * (factor * ds[i][j] - delta);
            p[i][j] *= factor;
        }
    }
}

// g_added, unless it is null: the gradient of the number added to each score, before the sums over
// broadcast axes of the mask
KERNEL attention_query_vjp(GIVEN, T* gq, T* g_added, GIVEN_STRIDES, STRIDES(gq), OPTIONS) {
    SHARED_MEMORY(memory);
    A(*q_tile)[ROW] = (A(*)[ROW])memory;
    A(*g_tile)[ROW] = q_tile + QUERIES;
    A(*k_tile)[ROW] = g_tile + QUERIES;
    A(*v_tile)[ROW] = k_tile + KEYS;
    A(*s_tile)[KEYS + 1] = (A(*)[KEYS + 1])(v_tile + KEYS);

    BLOCK(queries, QUERIES);
    index_t first_query = (tiles - 1 - tile) * QUERIES;
    FIND_GIVEN, gq = PLACE(gq);
    Scores score = SCORES;
    int down = threadIdx.x / ACROSS * 4, across = threadIdx.x % ACROSS;
    A sums[4][HEAD / ACROSS] = {};
    load(q_tile, QUERIES, q, q_row, first_query, queries, width);
    load(g_tile, QUERIES, g, g_row, first_query, queries, width);
    index_t end = causal && first_query + QUERIES < keys ? first_query + QUERIES : keys;
    for (index_t first_key = 0; first_key < end; first_key += KEYS) {
        __syncthreads();
        load(k_tile, KEYS, k, k_row, first_key, keys, width);
        load(v_tile, KEYS, v, v_row, first_key, keys, width);
        DRAW(s_tile, QUERIES, KEYS);
        __syncthreads();
        A p[4][4], ds[4][4];
        weights_and_slopes(p, ds, q_tile, g_tile, k_tile, v_tile, DROPPING ? s_tile : nullptr,
                           known, deltas, first_query, first_key, score);
        UNROLLED(i, 4)
            UNROLLED(j, 4) {
                s_tile[down + i][across + ACROSS * j] = ds[i][j];
                index_t query = first_query + down + i, key = first_key + across + ACROSS * j;
                if (EXTRAS && g_added && query < queries && key < keys)
                    g_added[(pair * queries + query) * keys + key] = (T)ds[i][j];
            }
        __syncthreads();
        for (int key = 0; key < KEYS; key++)
            UNROLLED(i, 4)
                UNROLLED(j, HEAD / ACROSS)
                    sums[i][j] += s_tile[down + i][key] * k_tile[key][across + ACROSS * j];
    }
    UNROLLED(i, 4)
        UNROLLED(j, HEAD / ACROSS) {
            index_t query = first_query + down + i;
            int column = across + ACROSS * j;
            if (query < queries && column < width)
                gq[query * gq_row + column] = (T)(sums[i][j] * score.scale);
        }
}

KERNEL attention_key_vjp(GIVEN, T* gk, T* gv, GIVEN_STRIDES, STRIDES(gk), STRIDES(gv), OPTIONS) {
    SHARED_MEMORY(memory);
    A(*q_tile)[ROW] = (A(*)[ROW])memory;
    A(*g_tile)[ROW] = q_tile + QUERIES;
    A(*k_tile)[ROW] = g_tile + QUERIES;
    A(*v_tile)[ROW] = k_tile + KEYS;
    A(*p_tile)[KEYS + 1] = (A(*)[KEYS + 1])(v_tile + KEYS);
    A(*s_tile)[KEYS + 1] = p_tile + QUERIES;

    BLOCK(keys, KEYS);
    index_t first_key = tile * KEYS;
    FIND_GIVEN, gk = PLACE(gk), gv = PLACE(gv);
    Scores score = SCORES;
    int down = threadIdx.x / ACROSS * 4, across = threadIdx.x % ACROSS;
    int key_down = threadIdx.x / DOWN * 4, key_across = threadIdx.x % DOWN;  // of the results
    A k_sums[4][HEAD / DOWN] = {}, v_sums[4][HEAD / DOWN] = {};
    load(k_tile, KEYS, k, k_row, first_key, keys, width);
    load(v_tile, KEYS, v, v_row, first_key, keys, width);
    index_t first_query = causal ? first_key / QUERIES * QUERIES : 0;  // those before see nothing
    for (; first_query < queries; first_query += QUERIES) {
        __syncthreads();
        load(q_tile, QUERIES, q, q_row, first_query, queries, width);
        load(g_tile, QUERIES, g, g_row, first_query, queries, width);
        DRAW(p_tile, QUERIES, KEYS);
        __syncthreads();
        A p[4][4], ds[4][4];
        weights_and_slopes(p, ds, q_tile, g_tile, k_tile, v_tile, DROPPING ? p_tile : nullptr,
                           known, deltas, first_query, first_key, score);
        UNROLLED(i, 4)
            UNROLLED(j, 4) {
                p_tile[down + i][across + ACROSS * j] = p[i][j];
                s_tile[down + i][across + ACROSS * j] = ds[i][j];
            }
        __syncthreads();
        for (int query = 0; query < QUERIES; query++)
            UNROLLED(i, 4)
                UNROLLED(j, HEAD / DOWN) {
                    int column = key_across + DOWN * j;
                    k_sums[i][j] += s_tile[query][key_down + i] * q_tile[query][column];
                    v_sums[i][j] += p_tile[query][key_down + i] * g_tile[query][column];
                }
    }
    UNROLLED(i, 4)
        UNROLLED(j, HEAD / DOWN) {
            index_t key = first_key + key_down + i;
            int column = key_across + DOWN * j;
            if (key >= keys || column >= width) continue;
            gk[key * gk_row + column] = (T)(k_sums[i][j] * score.scale);
            gv[key * gv_row + column] = (T)v_sums[i][j];
        }
}
