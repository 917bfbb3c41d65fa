#include "attention.cuh"

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
