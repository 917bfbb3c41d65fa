// CUDA's header of the same name for g++: __half, as far as the kernels use it. Numbers are
// computed in float and rounded to the nearest, of two to the even one.
#pragma once
#include <cmath>
#include <cstring>

struct __half {
    unsigned short bits;
    __half() = default;
    __half(int x) : __half((float)x) {}
    __half(double x) : __half((float)x) {}
    __half(float x) {
        unsigned u;
        memcpy(&u, &x, 4);
        unsigned sign = u >> 16 & 0x8000u, size = u & 0x7fffffffu;
        if (size > 0x7f800000u) bits = sign | 0x7e00u;        // NaN
        else if (size >= 0x477ff000u) bits = sign | 0x7c00u;  // 65520 and more: infinity
        else if (size < 0x38800000u)                          // less than 2⁻¹⁴: multiples of 2⁻²⁴
            bits = sign | (unsigned)std::nearbyint(std::fabs(x) * 16777216.0f);
        else bits = sign | (size - 0x38000000u + 0xfffu + (size >> 13 & 1)) >> 13;
    }
    operator float() const {
        unsigned sign = (bits & 0x8000u) << 16, size = bits & 0x7fffu, u;
        if (size < 0x400u) {
            float x = size / 16777216.0f;
            return sign ? -x : x;
        }
        u = sign | (size >= 0x7c00u ? 0x7f800000u | (size & 0x3ffu) << 13 : (size << 13) + 0x38000000u);
        float x;
        memcpy(&x, &u, 4);
        return x;
    }
};
