// Shared by the kernels of attention: arrays, scores, masks, dropout.
//
// The text before defines EXTRAS: 0 without mask and dropout, which then take no registers.

#include "common.cuh"

// the strides of an array (batch, head, time, width); the last is 1
#define STRIDES(x) index_t x##_batch, index_t x##_head, index_t x##_row
#define PLACE(x) (x + batch * x##_batch + head * x##_head)
// The head of a block, and its tile among the tiles of n rows.
#define BLOCK(n, tall)                                                     \
    index_t tiles = (n + tall - 1) / tall, tile = blockIdx.x % tiles;      \
    index_t pair = blockIdx.x / tiles, batch = pair / heads, head = pair % heads
// What the kernels of gradients read, and their places for the head of a block.
#define GIVEN const T *g, const T *q, const T *k, const T *v, const A *known, const A *deltas
#define GIVEN_STRIDES STRIDES(g), STRIDES(q), STRIDES(k), STRIDES(v)
#define FIND_GIVEN                                                         \
    g = PLACE(g), q = PLACE(q), k = PLACE(k), v = PLACE(v);                \
    known += 2 * pair * queries, deltas += pair * queries

// sizes; a mask (batch, head, query, key), boolean, to be added, or neither (null); and dropout
#define OPTIONS                                                                                  \
    index_t heads, index_t queries, index_t keys, index_t width, double scale_factor,            \
        index_t causal, const bool *allowed, const T *added, index_t mask_batch,                 \
        index_t mask_head, index_t mask_row, index_t mask_column, index_t threshold, double kept, \
        PHILOX

// The scores of one head.
struct Scores {
    const bool* allowed;
    const T* added;
    index_t start, row, column, queries, keys, causal;
    A scale, nothing;  // nothing: -∞

    // scale · product + mask; `nothing` where the query does not see the key. The mask is added as in
    // the formula, so that NaN stays NaN
    __device__ A operator()(A product, index_t query, index_t key) const {
        if (query >= queries || key >= keys || (causal && key > query)) return nothing;
        A score = product * scale;
        if (!EXTRAS) return score;
        index_t at = start + query * row + key * column;
        if (allowed && !allowed[at]) return score + nothing;
        return added ? score + (A)added[at] : score;
    }
};
#define SCORES                                                                              \
    {allowed, added, batch * mask_batch + head * mask_head, mask_row, mask_column, queries, \
     keys, causal, (A)scale_factor, log((A)0)}

// The factor of dropout for each pair of a tile: 0 or `kept`. Its word is the one for its place in
// the whole matrix (batch, head, query, key), as drawn by `dropout`. Blocks of four words lie along a
// row and may extend beyond both ends.
template <int TALL, int WIDE>
__device__ inline void draw(A (*tile)[WIDE + 1], index_t first_row, index_t keys,
                            index_t first_key, index_t threshold, double kept, PHILOX) {
    for (int i = threadIdx.x; i < TALL * (WIDE / 4 + 1); i += blockDim.x) {
        int row = i / (WIDE / 4 + 1);
        index_t start = (first_row + row) * keys + first_key;
        index_t block = start / 4 + i % (WIDE / 4 + 1);
        unsigned words[4];
        philox(words, block, PHILOX_GIVEN);
        UNROLLED(k, 4) {
            index_t column = 4 * block + k - start;
            if (column >= 0 && column < WIDE)
                tile[row][column] = (index_t)words[k] < threshold ? (A)kept : 0;
        }
    }
}
#define DROPPING (EXTRAS && kept != 1)
#define DRAW(tile, tall, wide)                                                                  \
    if (DROPPING)                                                                               \
        draw<tall, wide>(tile, pair * queries + first_query, keys, first_key, threshold, kept, \
                         PHILOX_GIVEN)
