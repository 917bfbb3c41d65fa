// Attention in tiles: softmax(scale · Q Kᵀ) V without a matrix (queries, keys) in memory.
//
// Source: Dao 2023 (FlashAttention-2), algorithms 1 and 2. The backward pass computes the weights
// again from the logarithm of each row's total, once for dQ and once for dK and dV: a seventh
// product more than with atomics, and the same bits in every run.
//
// Before it stand QUERIES and KEYS, the sizes of a tile, and HEAD, its width, at least that of a head.
// A thread holds 4 × 4 of a tile (QUERIES, KEYS): 4 rows in a run, and of the columns each
// (KEYS / 4)th, so that the threads of a warp read different banks.

#define ACROSS (KEYS / 4)  // threads that share a row; a power of 2, so they lie in one warp
#define DOWN (QUERIES / 4)
#define THREADS (DOWN * ACROSS)
#define ROW (HEAD + 1)  // one more: a column lies in different banks

// an array (batch, head, time, width): its strides, the last being 1
#define STRIDES(x) index_t x##_batch, index_t x##_head, index_t x##_row
#define SIZES                                                                          \
    index_t heads, index_t queries, index_t keys, index_t width, double scale_factor, \
        index_t causal
#define PLACE(x) (x + batch * x##_batch + head * x##_head)

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
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) s[i][j] = 0;
#pragma unroll 8
    for (int d = 0; d < HEAD; d++) {
        A left[4], right[4];
        for (int i = 0; i < 4; i++) left[i] = a[down + i][d];
        for (int j = 0; j < 4; j++) right[j] = b[across + ACROSS * j][d];
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) s[i][j] += left[i] * right[j];
    }
}

KERNEL attention(const T* q, const T* k, const T* v, T* y, A* log_totals, STRIDES(q), STRIDES(k),
                 STRIDES(v), STRIDES(y), SIZES) {
    SHARED_MEMORY(memory);
    A(*q_tile)[ROW] = (A(*)[ROW])memory;
    A(*k_tile)[ROW] = q_tile + QUERIES;
    A(*v_tile)[ROW] = k_tile + KEYS;
    A(*p_tile)[KEYS + 1] = (A(*)[KEYS + 1])(v_tile + KEYS);

    index_t tiles = (queries + QUERIES - 1) / QUERIES, pair = blockIdx.x / tiles;
    index_t batch = pair / heads, head = pair % heads;
    index_t first_query = (tiles - 1 - blockIdx.x % tiles) * QUERIES;  // the longest first
    q = PLACE(q), k = PLACE(k), v = PLACE(v), y = PLACE(y);
    int down = threadIdx.x / ACROSS * 4, across = threadIdx.x % ACROSS;
    A scale = (A)scale_factor, nothing = log((A)0);  // -∞
    A sums[4][HEAD / ACROSS], largest[4], total[4];
    for (int i = 0; i < 4; i++) {
        largest[i] = LOWEST, total[i] = 0;
        for (int j = 0; j < HEAD / ACROSS; j++) sums[i][j] = 0;
    }
    load(q_tile, QUERIES, q, q_row, first_query, queries, width);
    index_t end = causal && first_query + QUERIES < keys ? first_query + QUERIES : keys;
    for (index_t first_key = 0; first_key < end; first_key += KEYS) {
        __syncthreads();  // all have read the tiles before
        load(k_tile, KEYS, k, k_row, first_key, keys, width);
        load(v_tile, KEYS, v, v_row, first_key, keys, width);
        __syncthreads();
        A s[4][4];
        products(s, q_tile, k_tile, down, across);
        for (int i = 0; i < 4; i++) {
            index_t query = first_query + down + i;
            A most = largest[i];
            for (int j = 0; j < 4; j++) {
                index_t key = first_key + across + ACROSS * j;
                s[i][j] = key < keys && !(causal && key > query) ? s[i][j] * scale : nothing;
                most = fmax(most, s[i][j]);
            }
            for (int lane = ACROSS / 2; lane; lane /= 2)
                most = fmax(most, __shfl_xor_sync(0xffffffffu, most, lane));
            A shrink = exp(largest[i] - most);  // what was summed up was relative to another maximum
            largest[i] = most;
            total[i] *= shrink;
            for (int j = 0; j < HEAD / ACROSS; j++) sums[i][j] *= shrink;
            for (int j = 0; j < 4; j++) {
                A p = exp(s[i][j] - most);
                total[i] += p;
                p_tile[down + i][across + ACROSS * j] = p;
            }
        }
        __syncthreads();
        for (int key = 0; key < KEYS; key++)
            for (int i = 0; i < 4; i++) {
                A p = p_tile[down + i][key];
                for (int j = 0; j < HEAD / ACROSS; j++)
                    sums[i][j] += p * v_tile[key][across + ACROSS * j];
            }
    }
    for (int i = 0; i < 4; i++) {
        for (int lane = ACROSS / 2; lane; lane /= 2)
            total[i] += __shfl_xor_sync(0xffffffffu, total[i], lane);
        index_t query = first_query + down + i;
        if (query >= queries) continue;
        if (across == 0) log_totals[pair * queries + query] = largest[i] + log(total[i]);
        for (int j = 0; j < HEAD / ACROSS; j++)
            if (across + ACROSS * j < width)
                y[query * y_row + across + ACROSS * j] = (T)(sums[i][j] / total[i]);
    }
}

// deltas = Σ g · y of each query: a warp for each
KERNEL attention_deltas(const T* g, const T* y, A* deltas, STRIDES(g), STRIDES(y), index_t heads,
                        index_t queries, index_t width, index_t rows) {
    index_t row = (index_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    index_t pair = row / queries, query = row % queries, batch = pair / heads, head = pair % heads;
    g = PLACE(g) + query * g_row, y = PLACE(y) + query * y_row;
    A sum = 0;
    for (index_t d = threadIdx.x % WARP; d < width; d += WARP) sum += (A)g[d] * (A)y[d];
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) deltas[row] = sum;
}

// Weights p and slopes ds = scale · p (g · v - delta) of a thread's queries and keys.
__device__ inline void weights_and_slopes(A (&p)[4][4], A (&ds)[4][4], A (*q)[ROW], A (*g)[ROW],
                                          A (*k)[ROW], A (*v)[ROW], const A* log_totals,
                                          const A* deltas, index_t first_query, index_t first_key,
                                          index_t queries, index_t keys, A scale, index_t causal) {
    int down = threadIdx.x / ACROSS * 4, across = threadIdx.x % ACROSS;
    products(p, q, k, down, across);
    products(ds, g, v, down, across);
    for (int i = 0; i < 4; i++) {
        index_t query = first_query + down + i;
        bool there = query < queries;
        A log_total = there ? log_totals[query] : 0, delta = there ? deltas[query] : 0;
        for (int j = 0; j < 4; j++) {
            index_t key = first_key + across + ACROSS * j;
            bool seen = there && key < keys && !(causal && key > query);
            p[i][j] = seen ? exp(p[i][j] * scale - log_total) : 0;
            ds[i][j] = seen ? p[i][j] * (ds[i][j] - delta) * scale : 0;
        }
    }
}

KERNEL attention_query_vjp(const T* g, const T* q, const T* k, const T* v, const A* log_totals,
                           const A* deltas, T* gq, STRIDES(g), STRIDES(q), STRIDES(k), STRIDES(v),
                           STRIDES(gq), SIZES) {
    SHARED_MEMORY(memory);
    A(*q_tile)[ROW] = (A(*)[ROW])memory;
    A(*g_tile)[ROW] = q_tile + QUERIES;
    A(*k_tile)[ROW] = g_tile + QUERIES;
    A(*v_tile)[ROW] = k_tile + KEYS;
    A(*s_tile)[KEYS + 1] = (A(*)[KEYS + 1])(v_tile + KEYS);

    index_t tiles = (queries + QUERIES - 1) / QUERIES, pair = blockIdx.x / tiles;
    index_t batch = pair / heads, head = pair % heads;
    index_t first_query = (tiles - 1 - blockIdx.x % tiles) * QUERIES;
    g = PLACE(g), q = PLACE(q), k = PLACE(k), v = PLACE(v), gq = PLACE(gq);
    log_totals += pair * queries, deltas += pair * queries;
    int down = threadIdx.x / ACROSS * 4, across = threadIdx.x % ACROSS;
    A sums[4][HEAD / ACROSS];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < HEAD / ACROSS; j++) sums[i][j] = 0;
    load(q_tile, QUERIES, q, q_row, first_query, queries, width);
    load(g_tile, QUERIES, g, g_row, first_query, queries, width);
    index_t end = causal && first_query + QUERIES < keys ? first_query + QUERIES : keys;
    for (index_t first_key = 0; first_key < end; first_key += KEYS) {
        __syncthreads();
        load(k_tile, KEYS, k, k_row, first_key, keys, width);
        load(v_tile, KEYS, v, v_row, first_key, keys, width);
        __syncthreads();
        A p[4][4], ds[4][4];
        weights_and_slopes(p, ds, q_tile, g_tile, k_tile, v_tile, log_totals, deltas, first_query,
                           first_key, queries, keys, (A)scale_factor, causal);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) s_tile[down + i][across + ACROSS * j] = ds[i][j];
        __syncthreads();
        for (int key = 0; key < KEYS; key++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < HEAD / ACROSS; j++)
                    sums[i][j] += s_tile[down + i][key] * k_tile[key][across + ACROSS * j];
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < HEAD / ACROSS; j++)
            if (first_query + down + i < queries && across + ACROSS * j < width)
                gq[(first_query + down + i) * gq_row + across + ACROSS * j] = (T)sums[i][j];
}

KERNEL attention_key_vjp(const T* g, const T* q, const T* k, const T* v, const A* log_totals,
                         const A* deltas, T* gk, T* gv, STRIDES(g), STRIDES(q), STRIDES(k),
                         STRIDES(v), STRIDES(gk), STRIDES(gv), SIZES) {
    SHARED_MEMORY(memory);
    A(*q_tile)[ROW] = (A(*)[ROW])memory;
    A(*g_tile)[ROW] = q_tile + QUERIES;
    A(*k_tile)[ROW] = g_tile + QUERIES;
    A(*v_tile)[ROW] = k_tile + KEYS;
    A(*p_tile)[KEYS + 1] = (A(*)[KEYS + 1])(v_tile + KEYS);
    A(*s_tile)[KEYS + 1] = p_tile + QUERIES;

    index_t tiles = (keys + KEYS - 1) / KEYS, pair = blockIdx.x / tiles;
    index_t batch = pair / heads, head = pair % heads;
    index_t first_key = blockIdx.x % tiles * KEYS;
    g = PLACE(g), q = PLACE(q), k = PLACE(k), v = PLACE(v), gk = PLACE(gk), gv = PLACE(gv);
    log_totals += pair * queries, deltas += pair * queries;
    int down = threadIdx.x / ACROSS * 4, across = threadIdx.x % ACROSS;
    int key_down = threadIdx.x / DOWN * 4, key_across = threadIdx.x % DOWN;  // of the results
    A k_sums[4][HEAD / DOWN], v_sums[4][HEAD / DOWN];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < HEAD / DOWN; j++) k_sums[i][j] = v_sums[i][j] = 0;
    load(k_tile, KEYS, k, k_row, first_key, keys, width);
    load(v_tile, KEYS, v, v_row, first_key, keys, width);
    index_t first_query = causal ? first_key / QUERIES * QUERIES : 0;  // those before see nothing
    for (; first_query < queries; first_query += QUERIES) {
        __syncthreads();
        load(q_tile, QUERIES, q, q_row, first_query, queries, width);
        load(g_tile, QUERIES, g, g_row, first_query, queries, width);
        __syncthreads();
        A p[4][4], ds[4][4];
        weights_and_slopes(p, ds, q_tile, g_tile, k_tile, v_tile, log_totals, deltas, first_query,
                           first_key, queries, keys, (A)scale_factor, causal);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) {
                p_tile[down + i][across + ACROSS * j] = p[i][j];
                s_tile[down + i][across + ACROSS * j] = ds[i][j];
            }
        __syncthreads();
        for (int query = 0; query < QUERIES; query++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < HEAD / DOWN; j++) {
                    int column = key_across + DOWN * j;
                    k_sums[i][j] += s_tile[query][key_down + i] * q_tile[query][column];
                    v_sums[i][j] += p_tile[query][key_down + i] * g_tile[query][column];
                }
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < HEAD / DOWN; j++) {
            index_t key = first_key + key_down + i;
            int column = key_across + DOWN * j;
            if (key >= keys || column >= width) continue;
            gk[key * gk_row + column] = (T)k_sums[i][j];
            gv[key * gv_row + column] = (T)v_sums[i][j];
        }
}
