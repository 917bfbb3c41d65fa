// What the kernels of attention share: arrays, scores, masks, dropout.
//
// Before it stands EXTRAS: 0 where there is neither a mask nor dropout, which then take no registers.

#include "common.cuh"

// an array (batch, head, time, width): its strides, the last being 1
#define STRIDES(x) index_t x##_batch, index_t x##_head, index_t x##_row
#define PLACE(x) (x + batch * x##_batch + head * x##_head)
// The head that a block works for, and which of the tiles of its n rows.
#define BLOCK(n, tall)                                                     \
    index_t tiles = (n + tall - 1) / tall, tile = blockIdx.x % tiles;      \
    index_t pair = blockIdx.x / tiles, batch = pair / heads, head = pair % heads

// sizes; a mask (batch, head, query, key), boolean or to be added, or neither: null; and dropout
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

    // scale · product + mask; nothing where the query does not look at the key. A mask is added, as
    // in the formula: NaN stays what it is
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

// What the weight of each pair of a tile is to be multiplied with: 0, or `kept`. Its word is that of
// its place in the whole matrix (batch, head, query, key), as `dropout` would draw it. Blocks of four
// words lie along a row, and reach over both of its ends.
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
