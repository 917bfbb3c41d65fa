// As cuda_fp16.h: __nv_bfloat16, the upper half of a float.
#pragma once
#include <cstring>

struct __nv_bfloat16 {
    unsigned short bits;
    __nv_bfloat16() = default;
    __nv_bfloat16(int x) : __nv_bfloat16((float)x) {}
    __nv_bfloat16(double x) : __nv_bfloat16((float)x) {}
    __nv_bfloat16(float x) {
        unsigned u;
        memcpy(&u, &x, 4);
        if ((u & 0x7fffffffu) > 0x7f800000u) bits = 0x7fffu;  // NaN
        else bits = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    }
    operator float() const {
        unsigned u = (unsigned)bits << 16;
        float x;
        memcpy(&x, &u, 4);
        return x;
    }
};
