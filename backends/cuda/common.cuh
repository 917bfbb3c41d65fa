// What all kernels share. Before it stand the types: T, that of numbers in memory; A, that of sums.

typedef long long index_t;
#define WARP 32
#define LOWEST ((A)-3.0e38)  // below any number that exp does not make 0
#define KERNEL extern "C" __global__ void
#ifndef SHARED_MEMORY
#define SHARED_MEMORY(name) extern __shared__ A name[]  // as much as the launch asks for
#endif

// each element of n, whatever the size of the grid
#define EACH(i, n)                                                              \
    for (index_t i = (index_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);   \
         i += (index_t)gridDim.x * blockDim.x)

// each element of a row of n, shared among the threads of one block
#define ALONG(j, n) for (index_t j = threadIdx.x; j < (n); j += blockDim.x)

__device__ inline A warp_sum(A x) {
    for (int k = WARP / 2; k; k /= 2) x += __shfl_xor_sync(0xffffffffu, x, k);
    return x;
}

__device__ inline A warp_max(A x) {
    for (int k = WARP / 2; k; k /= 2) x = fmax(x, __shfl_xor_sync(0xffffffffu, x, k));
    return x;
}

// Σ over a block of whole warps, the same in every thread, and in the same order in every run
__device__ inline A block_sum(A x) {
    __shared__ A parts[WARP];
    int lane = threadIdx.x % WARP;
    x = warp_sum(x);
    if (lane == 0) parts[threadIdx.x / WARP] = x;
    __syncthreads();
    x = warp_sum(lane < blockDim.x / WARP ? parts[lane] : 0);
    __syncthreads();  // parts may be written again
    return x;
}

__device__ inline A block_max(A x) {
    __shared__ A parts[WARP];
    int lane = threadIdx.x % WARP;
    x = warp_max(x);
    if (lane == 0) parts[threadIdx.x / WARP] = x;
    __syncthreads();
    x = warp_max(lane < blockDim.x / WARP ? parts[lane] : LOWEST);
    __syncthreads();
    return x;
}
