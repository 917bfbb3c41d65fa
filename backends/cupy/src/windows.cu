// Windows on images: copied as the columns of a matrix, and added where they lie; multiplied at once
// where a filter sees one channel; their maxima and means. The thread that writes a sum also computes
// it, so that there are no atomics.
//
// An image has two axes; with one, its height is 1. Indices have 32 bits, as divisions are fast then;
// the host asks for less than 2³¹ numbers at a time.

#include "common.cuh"

// the image, the size of windows, stride, padding before the image, dilation, the number of windows
#define GEOMETRY                                                                                  \
    index_t h, index_t w, index_t kh, index_t kw, index_t sh, index_t sw, index_t top,            \
        index_t left, index_t dh, index_t dw, index_t out_h, index_t out_w
#define EACH_OF(i, n)                                                   \
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n);   \
         i += gridDim.x * blockDim.x)
#define TILE 1024  // of a line, to a block

// columns[c, i, j, n, p, q] = x[n, c, sh p + dh i - top, sw q + dw j - left], or 0 outside of x
KERNEL windows(const T* x, T* columns, index_t batch, GEOMETRY, index_t x_batch, index_t x_channel,
               index_t x_row, index_t x_column) {
    unsigned height = out_h, width = out_w, line = batch * out_h * out_w;
    unsigned tiles = (line + TILE - 1) / TILE, place = blockIdx.x / tiles;
    unsigned first = blockIdx.x % tiles * TILE, end = first + TILE < line ? first + TILE : line;
    int i = place / kw % kh, j = place % kw;
    x += place / (kh * kw) * x_channel, columns += (index_t)place * line;
    for (unsigned at = first + threadIdx.x; at < end; at += blockDim.x) {
        int q = at % width, p = at / width % height;
        int row = p * (int)sh + i * (int)dh - (int)top;
        int column = q * (int)sw + j * (int)dw - (int)left;
        bool inside = row >= 0 && row < h && column >= 0 && column < w;
        index_t from = at / width / height * x_batch + row * x_row + column * x_column;
        columns[at] = inside ? x[from] : (T)0.0f;
    }
}

// y (batch, channels, h, w) = bias + Σ of the columns that lie there, as for `windows`
KERNEL overlap_add(const T* columns, const T* bias, T* y, index_t n, index_t batch,
                   index_t channels, GEOMETRY) {
    index_t line = batch * out_h * out_w;
    EACH_OF(at, n) {
        int column = at % (unsigned)w + left, row = at / (unsigned)w % (unsigned)h + top;
        unsigned image = at / (unsigned)w / (unsigned)h;
        index_t channel = image % (unsigned)channels, sample = image / (unsigned)channels;
        A sum = bias ? (A)bias[channel] : 0;
        for (int i = 0; i < kh; i++) {
            int down = row - i * (int)dh;
            if (down < 0 || down % (int)sh || down / (int)sh >= out_h) continue;
            const T* from = columns + (channel * kh + i) * kw * line +
                            (sample * out_h + down / (int)sh) * out_w;
            for (int j = 0; j < kw; j++) {
                int across = column - j * (int)dw;
                if (across < 0 || across % (int)sw || across / (int)sw >= out_w) continue;
                sum += (A)from[j * line + across / (int)sw];
            }
        }
        y[at] = (T)sum;
    }
}

// -- depthwise: a filter sees one channel, `of` filters each channel; weight (filters, kh, kw) ------

// y[n, a, p, q] = bias[a] + Σ weight[a, i, j] x[n, a / of, sh p + dh i - top, sw q + dw j - left]
KERNEL depthwise(const T* x, const T* weight, const T* bias, T* y, index_t n, index_t filters,
                 index_t of, GEOMETRY) {
    EACH_OF(at, n) {
        int column = at % (unsigned)out_w * (unsigned)sw - (unsigned)left;
        int row = at / (unsigned)out_w % (unsigned)out_h * (unsigned)sh - (unsigned)top;
        unsigned image = at / (unsigned)out_w / (unsigned)out_h, filter = image % (unsigned)filters;
        const T *from = x + image / (unsigned)of * h * w, *own = weight + filter * kh * kw;
        A sum = bias ? (A)bias[filter] : 0;
        for (int i = 0; i < kh; i++) {
            int down = row + i * (int)dh;
            if (down < 0 || down >= h) continue;
            for (int j = 0; j < kw; j++) {
                int across = column + j * (int)dw;
                if (across >= 0 && across < w) sum += (A)own[i * kw + j] * (A)from[down * w + across];
            }
        }
        y[at] = (T)sum;
    }
}

// its transpose, y (batch, channels, h, w) = bias + Σ over the filters of a channel
KERNEL depthwise_up(const T* x, const T* weight, const T* bias, T* y, index_t n, index_t channels,
                    index_t of, GEOMETRY) {
    EACH_OF(at, n) {
        int column = at % (unsigned)w + left, row = at / (unsigned)w % (unsigned)h + top;
        index_t image = at / (unsigned)w / (unsigned)h, channel = image % (unsigned)channels;
        A sum = bias ? (A)bias[channel] : 0;
        for (int k = 0; k < of; k++) {
            const T* from = x + (image * of + k) * out_h * out_w;
            const T* own = weight + (channel * of + k) * kh * kw;
            for (int i = 0; i < kh; i++) {
                int down = row - i * (int)dh;
                if (down < 0 || down % (int)sh || down / (int)sh >= out_h) continue;
                for (int j = 0; j < kw; j++) {
                    int across = column - j * (int)dw;
                    if (across < 0 || across % (int)sw || across / (int)sw >= out_w) continue;
                    sum += (A)own[i * kw + j] * (A)from[down / (int)sh * out_w + across / (int)sw];
                }
            }
        }
        y[at] = (T)sum;
    }
}

// the gradient of weight, a block for each number: Σ y[n, a, p, q] · the number of x that a sees there
KERNEL depthwise_across(const T* y, const T* x, T* gw, index_t batch, index_t filters, index_t of,
                        GEOMETRY) {
    unsigned place = blockIdx.x, places = out_h * out_w;
    int i = place / (unsigned)kw % (unsigned)kh, j = place % (unsigned)kw;
    unsigned filter = place / (unsigned)kw / (unsigned)kh;
    A sum = 0;
    for (index_t n = 0; n < batch; n++) {
        index_t image = n * filters + filter;
        const T *ys = y + image * places, *xs = x + image / of * h * w;
        for (unsigned at = threadIdx.x; at < places; at += blockDim.x) {
            int row = at / (unsigned)out_w * (int)sh + i * (int)dh - (int)top;
            int column = at % (unsigned)out_w * (int)sw + j * (int)dw - (int)left;
            if (row >= 0 && row < h && column >= 0 && column < w)
                sum += (A)ys[at] * (A)xs[row * w + column];
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) gw[place] = (T)sum;
}

// -- pooling: images (h, w) in, (out_h, out_w) out, n numbers in all ------------------------------

// Window (p, q) sees the rows[i, p] and columns[j, q]. Of equal numbers the first, of NaN the last.
KERNEL max_pool(const T* x, T* y, int* places, index_t n, index_t h, index_t w, index_t out_h,
                index_t out_w, const index_t* rows, index_t kh, const index_t* columns,
                index_t kw) {
    EACH_OF(at, n) {
        unsigned q = at % (unsigned)out_w, p = at / (unsigned)out_w % (unsigned)out_h;
        const T* image = x + at / (unsigned)out_w / (unsigned)out_h * h * w;
        index_t best = rows[p] * w + columns[q];
        A largest = (A)image[best];
        for (int i = 0; i < kh; i++)
            for (int j = 0; j < kw; j++) {
                index_t place = rows[i * out_h + p] * w + columns[j * out_w + q];
                A value = (A)image[place];
                if (value > largest || value != value) largest = value, best = place;
            }
        y[at] = (T)largest;
        places[at] = (int)best;
    }
}

// windows p from seen_rows[row, 0] up to seen_rows[row, 1] may contain that row; columns likewise
KERNEL max_pool_vjp(const T* g, const int* places, T* gx, index_t n, index_t h, index_t w,
                    index_t out_h, index_t out_w, const index_t* seen_rows,
                    const index_t* seen_columns) {
    EACH_OF(at, n) {
        int column = at % (unsigned)w, row = at / (unsigned)w % (unsigned)h;
        index_t image = at / (unsigned)w / (unsigned)h;
        A sum = 0;
        for (index_t p = seen_rows[2 * row]; p < seen_rows[2 * row + 1]; p++)
            for (index_t q = seen_columns[2 * column]; q < seen_columns[2 * column + 1]; q++) {
                index_t window = (image * out_h + p) * out_w + q;
                if (places[window] == row * (int)w + column) sum += (A)g[window];
            }
        gx[at] = (T)sum;
    }
}

// numbers outside of the image are 0; the divisor of window (p, q) is rows[p] · columns[q]
KERNEL avg_pool(const T* x, T* y, index_t n, GEOMETRY, const double* rows, const double* columns) {
    EACH_OF(at, n) {
        int q = at % (unsigned)out_w, p = at / (unsigned)out_w % (unsigned)out_h;
        const T* image = x + at / (unsigned)out_w / (unsigned)out_h * h * w;
        index_t row = p * sh - top, column = q * sw - left;
        index_t last_row = row + kh < h ? row + kh : h, last = column + kw < w ? column + kw : w;
        A sum = 0;
        for (index_t i = row > 0 ? row : 0; i < last_row; i++)
            for (index_t j = column > 0 ? column : 0; j < last; j++) sum += (A)image[i * w + j];
        y[at] = (T)(sum / (A)(rows[p] * columns[q]));
    }
}

// the first and the last window that contain a place, counted from the start of the padding
#define FIRST(at, k, s) ((at) >= (k) ? ((at) - (k)) / (s) + 1 : 0)
#define LAST(at, s, out) ((at) / (s) < (out) ? (at) / (s) : (out) - 1)

KERNEL avg_pool_vjp(const T* g, T* gx, index_t n, GEOMETRY, const double* rows,
                    const double* columns) {
    EACH_OF(at, n) {
        int column = at % (unsigned)w + left, row = at / (unsigned)w % (unsigned)h + top;
        index_t image = at / (unsigned)w / (unsigned)h;
        int first = FIRST(column, (int)kw, (int)sw), last = LAST(column, (int)sw, (int)out_w);
        A sum = 0;
        for (int p = FIRST(row, (int)kh, (int)sh); p <= LAST(row, (int)sh, (int)out_h); p++)
            for (int q = first; q <= last; q++)
                sum += (A)g[(image * out_h + p) * out_w + q] / (A)(rows[p] * columns[q]);
        gx[at] = (T)sum;
    }
}
