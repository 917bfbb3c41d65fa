#include "attention.cuh"

// deltas = Σ g · y for each query, by one warp
KERNEL attention_deltas(const T* g, const T* y, A* deltas, STRIDES(g), STRIDES(y), index_t heads,
                        index_t queries, index_t width, index_t rows) {
    unsigned row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;  // 32 bits: quick divisions
    if (row >= rows) return;
    unsigned pair = row / (unsigned)queries;
    index_t query = row % (unsigned)queries, batch = pair / (unsigned)heads;
    index_t head = pair % (unsigned)heads;
    g = PLACE(g) + query * g_row, y = PLACE(y) + query * y_row;
    A sum = 0;
    for (index_t d = threadIdx.x % WARP; d < width; d += WARP) sum += (A)g[d] * (A)y[d];
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) deltas[row] = sum;
}
