// Shared by all kernels. The text before defines the types T, of numbers in memory, and A, of sums.

typedef long long index_t;
#define WARP 32
// the lowest finite number
#define LOWEST ((A)(sizeof(A) == 8 ? -1.7976931348623157e308 : -3.4028234663852886e38))
#define KERNEL extern "C" __global__ void
#ifndef SHARED_MEMORY
#define SHARED_MEMORY(name) extern __shared__ __align__(16) A name[]  // its size is an option of the launch
#endif

// arrays are in registers if all loops over them are unrolled, and else in slow memory
#define UNROLLED(i, n) _Pragma("unroll") for (int i = 0; i < n; i++)

// each element of n, whatever the size of the grid
#define EACH(i, n)                                                              \
    for (index_t i = (index_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);   \
         i += (index_t)gridDim.x * blockDim.x)

// each element of a row of n, by the threads of one block
#define ALONG(j, n) for (index_t j = threadIdx.x; j < (n); j += blockDim.x)

// Σ over `WIDE` lanes of a warp, neighbours by powers of 2, or their maximum: the same in each
template <int WIDE = WARP>
__device__ inline A warp_sum(A x) {
    for (int k = WIDE / 2; k; k /= 2) x += __shfl_xor_sync(0xffffffffu, x, k);
    return x;
}

template <int WIDE = WARP>
__device__ inline A warp_max(A x) {
    for (int k = WIDE / 2; k; k /= 2) x = fmax(x, __shfl_xor_sync(0xffffffffu, x, k));
    return x;
}

// the same over a block of whole warps, and in the same order in every run
template <A (*OF_WARP)(A)>
__device__ inline A over_block(A x, A nothing) {
    __shared__ A parts[WARP];
    int lane = threadIdx.x % WARP;
    x = OF_WARP(x);
    if (lane == 0) parts[threadIdx.x / WARP] = x;
    __syncthreads();
    x = OF_WARP(lane < blockDim.x / WARP ? parts[lane] : nothing);
    __syncthreads();  // parts may be written again
    return x;
}
__device__ inline A block_sum(A x) { return over_block<warp_sum<WARP>>(x, 0); }
__device__ inline A block_max(A x) { return over_block<warp_max<WARP>>(x, LOWEST); }

// Philox 4x32-10, with the bits of backends/common/philox.py: block i of four words is a function of
// the key and the counter + i, both as words of 32 bits, the lowest first. In a captured step the
// counter at `base`, two words of 64 bits that each replay changes, is added.
#define PHILOX \
    index_t key0, index_t key1, index_t c0, index_t c1, index_t c2, index_t c3, const index_t* base
#define PHILOX_GIVEN key0, key1, c0, c1, c2, c3, base

__device__ inline void philox(unsigned (&block)[4], index_t i, PHILOX) {
    unsigned long long low = (unsigned long long)c0 | (unsigned long long)c1 << 32;
    unsigned long long high = (unsigned long long)c2 | (unsigned long long)c3 << 32;
    low += (unsigned long long)i;
    high += low < (unsigned long long)i;
    if (base) {
        unsigned long long more = (unsigned long long)base[0];
        low += more;
        high += (unsigned long long)base[1] + (low < more);
    }
    unsigned a0 = (unsigned)low, a1 = (unsigned)(low >> 32);
    unsigned a2 = (unsigned)high, a3 = (unsigned)(high >> 32);
    unsigned k0 = (unsigned)key0, k1 = (unsigned)key1;
    for (int round = 0; round < 10; round++) {
        unsigned long long p = (unsigned long long)a0 * 0xD2511F53u;
        unsigned long long q = (unsigned long long)a2 * 0xCD9E8D57u;
        a0 = (unsigned)(q >> 32) ^ a1 ^ k0;
        a2 = (unsigned)(p >> 32) ^ a3 ^ k1;
        a1 = (unsigned)q, a3 = (unsigned)p;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    block[0] = a0, block[1] = a1, block[2] = a2, block[3] = a3;
}
