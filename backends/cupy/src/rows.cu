// Functions of rows: a block of threads for each row of n numbers.

#include "common.cuh"

// -- layer_norm: y = (x - mean) / √(var + eps) · weight + bias; rms_norm: the same, mean = 0 --------

KERNEL layer_norm(const T* x, const T* weight, const T* bias, T* y, A* mean, A* scale, index_t n,
                  double eps, index_t centred) {
    index_t row = blockIdx.x;
    x += row * n, y += row * n;
    A m = 0;
    if (centred) {
        ALONG(j, n) m += (A)x[j];
        m = block_sum(m) / n;
    }
    A square = 0;
    ALONG(j, n) {
        A d = (A)x[j] - m;
        square += d * d;
    }
    A s = 1 / sqrt(block_sum(square) / n + (A)eps);
    if (threadIdx.x == 0) mean[row] = m, scale[row] = s;
    ALONG(j, n) {
        A v = ((A)x[j] - m) * s;
        if (weight) v *= (A)weight[j];
        y[j] = (T)(bias ? v + (A)bias[j] : v);
    }
}

KERNEL layer_norm_vjp(const T* g, const T* x, const T* weight, const A* mean, const A* scale,
                      T* gx, index_t n, index_t centred) {
    index_t row = blockIdx.x;
    g += row * n, x += row * n, gx += row * n;
    A m = mean[row], s = scale[row], along = 0, total = 0;
    ALONG(j, n) {
        A h = weight ? (A)g[j] * (A)weight[j] : (A)g[j];
        along += h * ((A)x[j] - m) * s;
        total += h;
    }
    along = block_sum(along) / n;
    total = centred ? block_sum(total) / n : 0;
    ALONG(j, n) {
        A h = weight ? (A)g[j] * (A)weight[j] : (A)g[j];
        gx[j] = (T)(s * (h - total - ((A)x[j] - m) * s * along));
    }
}

// Σ g and, unless x is null, Σ g (x - mean) scale over `chunk` rows of a matrix (rows, n), for each
// chunk and column: partial sums, whose order is the same in every run. Blocks of (32, 8) threads.
KERNEL column_sums(const T* g, const T* x, const A* mean, const A* scale, A* sums, A* normal_sums,
                   index_t rows, index_t n, index_t chunk) {
    __shared__ A parts[2][8][WARP + 1];
    index_t column = (index_t)blockIdx.x * WARP + threadIdx.x;
    index_t start = blockIdx.y * chunk, end = start + chunk < rows ? start + chunk : rows;
    A sum = 0, normal_sum = 0;
    if (column < n)
        for (index_t row = start + threadIdx.y; row < end; row += 8) {
            A value = (A)g[row * n + column];
            sum += value;
            if (x) normal_sum += value * ((A)x[row * n + column] - mean[row]) * scale[row];
        }
    parts[0][threadIdx.y][threadIdx.x] = sum;
    parts[1][threadIdx.y][threadIdx.x] = normal_sum;
    __syncthreads();
    if (threadIdx.y || column >= n) return;
    for (int i = 1; i < 8; i++) {
        sum += parts[0][i][threadIdx.x];
        normal_sum += parts[1][i][threadIdx.x];
    }
    sums[blockIdx.y * n + column] = sum;
    if (x) normal_sums[blockIdx.y * n + column] = normal_sum;
}

// -- softmax, and its logarithm -------------------------------------------------------------------

// The maximum of a row and Σ exp(x - maximum), in one pass (Milakov and Gimelshein 2018).
__device__ inline void largest_and_total(const T* x, index_t n, A& largest, A& total) {
    A m = LOWEST, s = 0;
    index_t j = threadIdx.x, step = blockDim.x;
    for (; j + 7 * step < n; j += 8 * step) {  // eight independent loads at a time
        A v[8], most = m;
        UNROLLED(k, 8) v[k] = (A)x[j + k * step];
        UNROLLED(k, 8) most = v[k] > most ? v[k] : most;
        s *= exp(m - most), m = most;
        UNROLLED(k, 8) s += exp(v[k] - m);
    }
    for (; j < n; j += step) {
        A v = (A)x[j];
        if (v > m) {
            s = s * exp(m - v) + 1;
            m = v;
        } else
            s += exp(v - m);
    }
    largest = block_max(m);
    s *= exp(m - largest);
    total = block_sum(s) + (largest - largest);  // NaN where the largest is infinite
}

KERNEL softmax(const T* x, T* y, index_t n, index_t logarithm) {
    x += blockIdx.x * n, y += blockIdx.x * n;
    A largest, total;
    largest_and_total(x, n, largest, total);
    if (logarithm) {
        A log_total = log(total);
        ALONG(j, n) y[j] = (T)((A)x[j] - largest - log_total);
    } else {
        A share = 1 / total;
        ALONG(j, n) y[j] = (T)(exp((A)x[j] - largest) * share);
    }
}

KERNEL softmax_vjp(const T* g, const T* y, T* gx, index_t n, index_t logarithm) {
    g += blockIdx.x * n, y += blockIdx.x * n, gx += blockIdx.x * n;
    A along = 0;
    ALONG(j, n) along += logarithm ? (A)g[j] : (A)g[j] * (A)y[j];
    along = block_sum(along);
    ALONG(j, n) {
        A v = (A)y[j];
        A slope = logarithm ? (A)g[j] - exp(v) * along : v * ((A)g[j] - along);
        gx[j] = (T)slope;
    }
}

// -- cross_entropy: -ln softmax(logits)[target], without the softmax in memory -----------------------

// Rows of n logits begin `step` numbers apart. A target outside of [0, n), which is refused before or
// reported after, gives NaN and reads nothing.
KERNEL cross_entropy(const T* logits, const index_t* targets, A* losses, A* known, index_t n,
                     index_t step, index_t ignored, double smoothing) {
    index_t row = blockIdx.x, target = targets[row];
    logits += row * step;
    A largest, total, sum = 0;
    largest_and_total(logits, n, largest, total);
    if (smoothing) {
        ALONG(j, n) sum += (A)logits[j] - largest;
        sum = block_sum(sum);
    }
    if (threadIdx.x) return;
    A log_total = log(total), e = (A)smoothing;
    known[2 * row] = largest, known[2 * row + 1] = log_total;  // all that the vjp needs
    if (target == ignored) losses[row] = 0;
    else if (target < 0 || target >= n) losses[row] = (A)nan("");
    else {
        A loss = log_total - ((A)logits[target] - largest);
        losses[row] = smoothing ? (1 - e) * loss + e * (log_total - sum / n) : loss;
    }
}

// out = Σ losses · factor; the factor is 1, or 1 / the number of targets that are not ignored
KERNEL total_loss(const A* losses, const index_t* targets, A* out, A* factor, index_t rows,
                  index_t ignored, index_t mean) {
    A sum = 0, count = 0;
    ALONG(i, rows) {
        sum += losses[i];
        count += targets[i] != ignored;
    }
    sum = block_sum(sum);
    count = block_sum(count);
    if (threadIdx.x) return;
    A inverse = !mean ? 1 : count ? 1 / count : (A)nan("");
    *out = sum * inverse;
    *factor = inverse;
}

// g holds one number for each row, or one for all rows (each = 0); times *inverse unless it is null
KERNEL cross_entropy_vjp(const A* g, const T* logits, const index_t* targets, const A* known,
                         const A* inverse, T* gx, index_t n, index_t step, index_t ignored,
                         double smoothing, index_t each) {
    index_t row = blockIdx.x, target = targets[row];
    logits += row * step, gx += row * step;
    A scale = g[each ? row : 0] * (inverse ? *inverse : 1), e = (A)smoothing;
    A largest = known[2 * row], log_total = known[2 * row + 1];
    if (target == ignored) {
        A nothing = log_total - log_total;  // 0, or NaN if the row has NaN
        ALONG(j, n) gx[j] = (T)nothing;
        return;
    }
    ALONG(j, n) {
        A p = exp((A)logits[j] - largest - log_total);
        gx[j] = (T)((p - e / n - (j == target ? 1 - e : 0)) * scale);
    }
}
