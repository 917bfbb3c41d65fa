// Functions of single elements, and random bits.

#include "common.cuh"

#define ROOT_2_PI ((A)0.7978845608028654)  // √(2/π)
#define ROOT_HALF ((A)0.7071067811865476)
#define DENSITY ((A)0.3989422804014327)  // 1 / √(2π)
#define CUBIC ((A)0.044715)

KERNEL gelu(const T* x, T* y, index_t n, index_t by_tanh) {
    EACH(i, n) {
        A v = (A)x[i];
        A curve = by_tanh ? tanh(ROOT_2_PI * (v + CUBIC * v * v * v)) : erf(v * ROOT_HALF);
        y[i] = (T)((A)0.5 * v * (1 + curve));
    }
}

KERNEL gelu_vjp(const T* g, const T* x, T* gx, index_t n, index_t by_tanh) {
    EACH(i, n) {
        A v = (A)x[i], slope;
        if (by_tanh) {
            A t = tanh(ROOT_2_PI * (v + CUBIC * v * v * v));
            slope = (A)0.5 * (1 + t + v * (1 - t * t) * ROOT_2_PI * (1 + 3 * CUBIC * v * v));
        } else
            slope = (A)0.5 * (1 + erf(v * ROOT_HALF)) + v * DENSITY * exp((A)-0.5 * v * v);
        gx[i] = (T)((A)g[i] * slope);
    }
}

KERNEL relu(const T* x, T* y, index_t n) {
    EACH(i, n) y[i] = (A)x[i] <= 0 ? (T)0.0f : x[i];  // NaN stays
}

KERNEL relu_vjp(const T* g, const T* y, T* gx, index_t n) {
    EACH(i, n) gx[i] = (A)y[i] <= 0 ? (T)0.0f : g[i];
}

// -- random bits

KERNEL random_bits(index_t* words, index_t n, PHILOX) {
    EACH(i, (n + 3) / 4) {
        unsigned block[4];
        philox(block, i, PHILOX_GIVEN);
        for (int k = 0; k < 4; k++)
            if (4 * i + k < n) words[4 * i + k] = block[k];
    }
}

// y = scale · x where the word of an element is below the threshold, else 0; no mask is kept
KERNEL dropout(const T* x, T* y, index_t n, index_t threshold, double scale, PHILOX) {
    EACH(i, (n + 3) / 4) {
        unsigned block[4];
        philox(block, i, PHILOX_GIVEN);
        for (int k = 0; k < 4; k++) {
            index_t j = 4 * i + k;
            if (j < n) y[j] = (index_t)block[k] < threshold ? (T)((A)x[j] * (A)scale) : (T)0.0f;
        }
    }
}

// Words of 64 bits that the host gives, where kernels of a captured step read them (capture.py).
#define W(k) index_t w##k
KERNEL write_words(index_t* to, index_t n, W(0), W(1), W(2), W(3), W(4), W(5), W(6), W(7), W(8), W(9),
                   W(10), W(11), W(12), W(13), W(14), W(15)) {
    index_t words[] = {w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15};
    for (index_t i = 0; i < n; i++) to[i] = words[i];
}

// found = (number, one of the indices outside of [low, high)), if there is any but `ignored`. It is
// read later, with a value that the host waits for anyway. Any of the writers may win.
KERNEL check_indices(const index_t* indices, index_t n, index_t low, index_t high, index_t ignored,
                     index_t number, index_t* found) {
    EACH(i, n) {
        index_t index = indices[i];
        if ((index < low || index >= high) && index != ignored) found[0] = number, found[1] = index;
    }
}

// -- rows added to rows: out[places[i]] += values[order[i]] -------------------------------------------

// `places` are sorted, `order` says where each was before. The first of equal places adds all of
// them up, one after the other: no atomics, the same bits in every run.
KERNEL add_rows(const index_t* places, const index_t* order, const T* values, T* out, index_t n,
                index_t count, index_t width) {
    EACH(i, count * width) {
        index_t first = i / width, column = i % width, place = places[first];
        if ((first && places[first - 1] == place) || place < 0 || place >= n) continue;
        A sum = 0;
        for (index_t k = first; k < count && places[k] == place; k++)
            sum += (A)values[order[k] * width + column];
        T* to = out + place * width + column;
        *to = (T)((A)*to + sum);
    }
}
