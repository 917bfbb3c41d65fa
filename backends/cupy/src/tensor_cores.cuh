// Products on tensor cores: a warp multiplies tiles of 16-bit numbers or of TF32 (float32 without its
// last 13 bits), with sums in float32. For GPUs since 2020 (Ampere).
//
// Source: NVIDIA, PTX ISA, "Warp-level matrix instructions": ldmatrix, and mma.m16n8k16 (16 bits) and
// m16n8k8 (TF32). STEP numbers of a row, 32 bytes of either type, are multiplied at a time. Words are
// two numbers of 16 bits, or one. Lane l of a warp holds, with r = l / 4 and c = l % 4,
//
//   sums (16, 8)        sums[i]: row r + 8 (i / 2), column 2 c + i % 2
//   left (16, STEP)     left[i]: row r + 8 (i % 2), word c + 4 (i / 2)
//   right (STEP, 8)     right[i]: column r, word c + 4 i, a word being numbers below each other

#if defined(KIND_float16)
#define PRODUCT "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
#elif defined(KIND_bfloat16)
#define PRODUCT "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#else
#define PRODUCT "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
#endif

// sums += left · right
__device__ inline void multiply(float (&sums)[4], const unsigned (&left)[4], unsigned right0,
                                unsigned right1) {
    asm(PRODUCT " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

// Four tiles of 8 rows of 16 bytes: lane l has the address of row l % 8 of tile l / 8, and gets word
// l % 4 of row l / 4 of each tile.
__device__ inline void read(unsigned (&words)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}

// The same for transposed tiles of 8 × 8 numbers of 16 bits: lane l gets numbers 2 (l % 4) and
// 2 (l % 4) + 1 of column l / 4 of each tile.
__device__ inline void read_turned(unsigned (&words)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}

// The nearest TF32.
__device__ inline unsigned tf32(float x) {
    unsigned word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(x));
    return word;
}
