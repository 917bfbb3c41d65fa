// Functions of single elements, and random bits.

#include "common.cuh"

#define ROOT_2_PI ((A)0.7978845608028654)  // √(2/π)
#define ROOT_HALF ((A)0.7071067811865476)
#define DENSITY ((A)0.3989422804014327)  // 1 / √(2π)
#define CUBIC ((A)0.044715)

struct alignas(16) Pack {
    T numbers[16 / sizeof(T)];
};

// y[i] = f(a[i], b[i]) for n numbers, 16 bytes at a time if all arrays are aligned to 16 bytes
template <class F>
__device__ inline void each_number(F f, const T* a, const T* b, T* y, index_t n) {
    const int per = 16 / sizeof(T);
    index_t packs = ((size_t)a | (size_t)b | (size_t)y) % 16 ? 0 : n / per;
    EACH(i, packs) {
        Pack left = ((const Pack*)a)[i], right = ((const Pack*)b)[i], out;
        UNROLLED(k, per) out.numbers[k] = f(left.numbers[k], right.numbers[k]);
        ((Pack*)y)[i] = out;
    }
    index_t done = packs * per;
    EACH(i, n - done) y[done + i] = f(a[done + i], b[done + i]);
}

KERNEL gelu(const T* x, T* y, index_t n, index_t by_tanh) {
    auto f = [=](T number, T) {
        A v = (A)number;
        if (by_tanh) return (T)(v / (1 + exp(-2 * ROOT_2_PI * (v + CUBIC * v * v * v))));
        return (T)((A)0.5 * v * erfc(-v * ROOT_HALF));
    };
    each_number(f, x, x, y, n);
}

KERNEL gelu_vjp(const T* g, const T* x, T* gx, index_t n, index_t by_tanh) {
    auto f = [=](T g, T x) {
        A v = (A)x, slope;
        if (by_tanh) {
            // (1 + tanh u) / 2 and its difference from 1, without subtractions
            A u = ROOT_2_PI * (v + CUBIC * v * v * v), p = 1 / (1 + exp(-2 * u)), q = 1 / (1 + exp(2 * u));
            slope = p + v * p * q * 2 * ROOT_2_PI * (1 + 3 * CUBIC * v * v);
        } else
            slope = (A)0.5 * erfc(-v * ROOT_HALF) + v * DENSITY * exp((A)-0.5 * v * v);
        return (T)((A)g * slope);
    };
    each_number(f, g, x, gx, n);
}

KERNEL relu(const T* x, T* y, index_t n) {
    auto f = [](T x, T) { return (A)x <= 0 ? (T)0.0f : x; };  // NaN stays NaN
    each_number(f, x, x, y, n);
}

KERNEL relu_vjp(const T* g, const T* y, T* gx, index_t n) {
    auto f = [](T g, T y) { return (A)y <= 0 ? (T)0.0f : g; };
    each_number(f, g, y, gx, n);
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

struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) Four {
    T numbers[4];
};

// y = scale · x where the word of an element is below the threshold, else 0
KERNEL dropout(const T* x, T* y, index_t n, index_t threshold, double scale, PHILOX) {
    bool aligned = ((size_t)x | (size_t)y) % alignof(Four) == 0;
    EACH(i, (n + 3) / 4) {
        unsigned block[4];
        philox(block, i, PHILOX_GIVEN);
        int left = n - 4 * i < 4 ? n - 4 * i : 4;
        Four numbers;
        if (aligned && left == 4) numbers = ((const Four*)x)[i];
        else
            UNROLLED(k, 4) numbers.numbers[k] = k < left ? x[4 * i + k] : (T)0.0f;
        UNROLLED(k, 4) {
            T& number = numbers.numbers[k];
            number = (index_t)block[k] < threshold ? (T)((A)number * (A)scale) : (T)0.0f;
        }
        if (aligned && left == 4) ((Four*)y)[i] = numbers;
        else
            for (int k = 0; k < left; k++) y[4 * i + k] = numbers.numbers[k];
    }
}

// Write words of 64 bits from the host where kernels of a captured step read them (capture.py).
#define W(k) index_t w##k
KERNEL write_words(index_t* to, index_t n, W(0), W(1), W(2), W(3), W(4), W(5), W(6), W(7), W(8), W(9),
                   W(10), W(11), W(12), W(13), W(14), W(15)) {
    index_t words[] = {w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15};
    for (index_t i = 0; i < n; i++) to[i] = words[i];
}

// found = (number, an index outside of [low, high)), if there is one other than `ignored`. The host
// reads it later, with a value that it waits for anyway. Any of several writers may win.
KERNEL check_indices(const index_t* indices, index_t n, index_t low, index_t high, index_t ignored,
                     index_t number, index_t* found) {
    EACH(i, n) {
        index_t index = indices[i];
        if ((index < low || index >= high) && index != ignored) found[0] = number, found[1] = index;
    }
}

// -- rows added to rows: out[places[i]] += values[order[i]] -------------------------------------------

// `places` is sorted, and `order` has the original position of each. The thread of the first of equal
// places adds all of them in order: no atomics, so the same bits in every run. It first searches for
// their end in doubling steps, so that loads need not wait for each other.
KERNEL add_rows(const index_t* places, const index_t* order, const T* values, T* out, index_t n,
                index_t count, index_t width) {
    EACH(i, count * width) {
        index_t first = i / width, column = i % width, place = places[first];
        if ((first && places[first - 1] == place) || place < 0 || place >= n) continue;
        index_t last = first, step = 1;
#define EQUAL(k) ((k) < count && places[k] == place)
        for (; EQUAL(last + step); step *= 2) last += step;
        while (step /= 2)
            if (EQUAL(last + step)) last += step;
        A sum = 0;
#pragma unroll 8
        for (index_t k = first; k <= last; k++) sum += (A)values[order[k] * width + column];
        T* to = out + place * width + column;
        *to = (T)((A)*to + sum);
    }
}
