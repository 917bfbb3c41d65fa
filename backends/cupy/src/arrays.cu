// Many arrays in one launch: the step of AdamW, the norm of all gradients, and their clipping.

#include "common.cuh"

// The last two rows of `table` are the sizes of k arrays and the numbers of their first blocks; the
// rows before are addresses. A block of threads takes CHUNK elements.
#define CHUNK 4096

// the array of this block: the last one whose first block is not after it
__device__ inline index_t array_of_block(const index_t* firsts, index_t k) {
    index_t low = 0, high = k;
    while (high - low > 1) {
        index_t middle = (low + high) / 2;
        if (firsts[middle] <= blockIdx.x) low = middle;
        else high = middle;
    }
    return low;
}

// this block's elements i of array a, for a table with `rows` rows of addresses
#define EACH_OF_CHUNK(i, a, rows)                                                                     \
    for (index_t first = (blockIdx.x - table[((rows) + 1) * k + a]) * CHUNK, n = table[(rows) * k + a], \
                 i = first + threadIdx.x;                                                              \
         i < n && i < first + CHUNK; i += blockDim.x)

// table: p, g, m, v, the new p. `numbers`, unless null, holds root, size and shrink of this step.
KERNEL adamw(const index_t* table, index_t k, double beta1, double beta2, double eps, double root,
             double size, double shrink, const double* numbers) {
    index_t a = array_of_block(table + 6 * k, k);
    const T *p = (const T*)table[a], *g = (const T*)table[k + a];
    T *m = (T*)table[2 * k + a], *v = (T*)table[3 * k + a], *out = (T*)table[4 * k + a];
    if (numbers) root = numbers[0], size = numbers[1], shrink = numbers[2];
    A rest1 = (A)(1 - beta1), rest2 = (A)(1 - beta2);
    EACH_OF_CHUNK(i, a, 5) {
        A grad = (A)g[i], old = (A)p[i];  // read before anything is written
        A mean = (A)m[i] + rest1 * (grad - (A)m[i]);
        A square = (A)beta2 * (A)v[i] + rest2 * (grad * grad);
        m[i] = (T)mean;
        v[i] = (T)square;
        out[i] = (T)((A)shrink * old - (A)size * (mean / (sqrt(square) * (A)root + (A)eps)));
    }
}

// parts[block] = Σ g² over the block's elements; table: g
KERNEL squares(const index_t* table, index_t k, T* parts) {
    index_t a = array_of_block(table + 2 * k, k);
    const T* g = (const T*)table[a];
    A sum = 0;
    EACH_OF_CHUNK(i, a, 1) sum += (A)g[i] * (A)g[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = (T)sum;
}

// norm = √Σ parts, by one block
KERNEL norm_of_parts(const T* parts, index_t n, T* norm) {
    A sum = 0;
    ALONG(i, n) sum += (A)parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *norm = (T)sqrt(sum);
}

// out = g min(1, most / (norm + 1e-6)), NaN if the norm is; table: g, out
KERNEL clipped(const index_t* table, index_t k, const T* norm, double most) {
    index_t a = array_of_block(table + 3 * k, k);
    const T* g = (const T*)table[a];
    T* out = (T*)table[k + a];
    A factor = (A)most / ((A)*norm + (A)1e-6);
    if (factor > 1) factor = 1;
    EACH_OF_CHUNK(i, a, 2) out[i] = (T)((A)g[i] * factor);
}

// out = x, of every array; table: x, out
KERNEL copied(const index_t* table, index_t k) {
    index_t a = array_of_block(table + 3 * k, k);
    const T* x = (const T*)table[a];
    T* out = (T*)table[k + a];
    EACH_OF_CHUNK(i, a, 2) out[i] = x[i];
}
