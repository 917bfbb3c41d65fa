// In the place of tensor_cores.cuh: a warp's words, each lane's, laid open to all of its lanes.
inline int lane() {
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}

inline float number(unsigned word, int part) {  // of one or two
    if (sizeof(T) == 4) word &= ~0x1fffu;       // what tensor cores do not read
    T numbers[4 / sizeof(T)];
    memcpy(numbers, &word, 4);
    return (float)numbers[part];
}

inline void multiply(float (&sums)[4], const unsigned (&left)[4], unsigned right0, unsigned right1) {
    gpu::Group& warp = *gpu::running->warp;
    unsigned words[] = {left[0], left[1], left[2], left[3], right0, right1};
    memcpy(warp.words[lane()], words, sizeof words);
    gpu::wait(warp);
    for (int i = 0; i < 4; i++) {
        int row = lane() / 4 + i / 2 * 8, column = lane() % 4 * 2 + i % 2;
        for (int word = 0; word < 8; word++)
            for (int part = 0; part < 4 / (int)sizeof(T); part++)
                sums[i] += number(warp.words[row % 8 * 4 + word % 4][word / 4 * 2 + row / 8], part) *
                           number(warp.words[column * 4 + word % 4][4 + word / 4], part);
    }
    gpu::wait(warp);
}

inline void rows_of_all(const char* (&rows)[32], const void* row) {
    gpu::Group& warp = *gpu::running->warp;
    warp.rows[lane()] = (const char*)row;
    gpu::wait(warp);
    memcpy(rows, warp.rows, sizeof rows);
    gpu::wait(warp);
}

inline void read(unsigned (&words)[4], const void* row) {
    const char* rows[32];
    rows_of_all(rows, row);
    for (int tile = 0; tile < 4; tile++)
        memcpy(&words[tile], rows[8 * tile + lane() / 4] + lane() % 4 * 4, 4);
}

inline void read_turned(unsigned (&words)[4], const void* row) {
    const char* rows[32];
    rows_of_all(rows, row);
    for (int tile = 0; tile < 4; tile++)
        for (int part = 0; part < 2; part++)
            memcpy((char*)&words[tile] + 2 * part,
                   rows[8 * tile + lane() % 4 * 2 + part] + lane() / 4 * 2, 2);
}

inline unsigned tf32(float x) {  // of two equally near, the larger in size
    unsigned word;
    memcpy(&word, &x, 4);
    return (word & 0x7f800000u) == 0x7f800000u ? word : (word + 0x1000u) & ~0x1fffu;
}
