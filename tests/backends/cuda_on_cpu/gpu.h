// Enough of CUDA to run a kernel's source on a CPU, one block after the other: for tests of its
// numbers. Threads are fibers that run until they wait; what they would do at the same time they do
// in turn, a warp as far as it comes before the next, the first before the last or, `backwards`,
// the last before the first. A kernel that lacks a barrier gives another result in one of the two.
// Nothing here tells of speed, of memory that is out of bounds, or of what a GPU's compiler does.
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static  // one block runs at a time
#define SHARED_MEMORY(name) A* name = (A*)gpu::shared
using std::erf;
using std::exp;
using std::fmax;
using std::log;
using std::sqrt;
using std::tanh;
#define __expf expf

struct dim3 {
    unsigned x, y, z;
};
struct uint4 {
    unsigned x, y, z, w;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace gpu {
struct Group {  // threads that wait for each other: a block, or a warp
    int alive = 0, waiting = 0;
    long round = 0;
    double slots[32];
    unsigned words[32][6];
    const char* rows[32];
};
struct Fiber {
    jmp_buf here;  // where it waits
    std::vector<char> stack = std::vector<char>(128 << 10);
    dim3 place;
    Group* warp;
    bool started = false, done;
};

static std::vector<Fiber*> fibers;  // used again by the next block
static jmp_buf scheduler;
static Fiber* running;
static Group block;
static std::vector<Group> warps;
static void (*body)();
static char* shared;
static long progress;  // how many barriers opened and fibers ended

// by jumps: swapcontext asks the kernel about signals each time, which takes ten times as long
inline void leave() {
    if (!_setjmp(running->here)) _longjmp(scheduler, 1);
}

inline void open_if_all_wait(Group& group) {
    if (group.waiting == 0 || group.waiting < group.alive) return;
    group.waiting = 0, group.round++, progress++;
}

inline void wait(Group& group) {
    long round = group.round;
    group.waiting++;
    open_if_all_wait(group);
    while (group.round == round) leave();
}

inline void run() {
    for (;;) {
        body();
        running->done = true, progress++;
        for (Group* group : {&block, running->warp}) {
            group->alive--;
            open_if_all_wait(*group);
        }
        leave();  // it comes back for the next block
    }
}

inline void resume(Fiber& fiber) {
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.here, 1);
    fiber.started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.data();
    context.uc_stack.ss_size = fiber.stack.size();
    context.uc_link = nullptr;
    makecontext(&context, run, 0);
    setcontext(&context);
}

inline void run_block(bool backwards) {
    int n = blockDim.x * blockDim.y * blockDim.z;
    while ((int)fibers.size() < n) fibers.push_back(new Fiber);
    warps.assign((n + 31) / 32, Group());
    block = Group(), block.alive = n;
    for (int i = 0; i < n; i++) {
        Fiber& fiber = *fibers[i];
        fiber.place = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        fiber.warp = &warps[i / 32], fiber.warp->alive++, fiber.done = false;
    }
    for (int left = n; left;) {
        long start = progress;
        for (int w = 0; w < (n + 31) / 32; w++)
            for (long before = -1; before != progress;) {  // each warp as far as it comes alone
                before = progress;
                int first = 32 * (backwards ? (n + 31) / 32 - 1 - w : w);
                int last = first + 32 < n ? first + 32 : n;
                for (int i = first; i < last; i++) {
                    running = fibers[backwards ? last - 1 - (i - first) : i];
                    threadIdx = running->place;
                    if (!running->done) resume(*running);
                }
            }
        left = 0;
        for (int i = 0; i < n; i++) left += !fibers[i]->done;
        if (left && progress == start) {
            fprintf(stderr, "a barrier that not every thread comes to\n");
            abort();
        }
    }
}

static std::vector<void*> arguments;
template <class... P, size_t... I>
void call(void (*kernel)(P...), std::index_sequence<I...>) {
    kernel(*(P*)arguments[I]...);
}

template <class X>
constexpr char kind = std::is_pointer_v<X> ? 'p' : std::is_floating_point_v<X> ? 'd' : 'i';

// sizes: the grid's three, the block's three, the bytes shared, the order; kinds: of the arguments,
// which a GPU takes as they come. Returns what the kernel expects, if that is another.
template <auto kernel, class... P>
const char* launch(void (*)(P...), const long long* sizes, const char* kinds, void** args) {
    static const char expected[] = {kind<P>..., 0};
    if (strcmp(kinds, expected)) return expected;
    gridDim = {(unsigned)sizes[0], (unsigned)sizes[1], (unsigned)sizes[2]};
    blockDim = {(unsigned)sizes[3], (unsigned)sizes[4], (unsigned)sizes[5]};
    arguments.assign(args, args + sizeof...(P));
    body = [] { call(kernel, std::index_sequence_for<P...>()); };
    std::vector<char> memory(sizes[6] + 8);
    shared = memory.data();
    for (unsigned z = 0; z < gridDim.z; z++)
        for (unsigned y = 0; y < gridDim.y; y++)
            for (unsigned x = 0; x < gridDim.x; x++) {
                blockIdx = {x, y, z};
                memset(shared, 0xff, memory.size());  // NaN: a block finds nothing useful there
                run_block(sizes[7]);
            }
    return "";
}
}  // namespace gpu

inline void __syncthreads() { gpu::wait(gpu::block); }
inline void __syncwarp() { gpu::wait(*gpu::running->warp); }

template <class V>
V __shfl_xor_sync(unsigned, V value, int distance) {
    gpu::Fiber* me = gpu::running;
    int lane = (me->place.x + blockDim.x * (me->place.y + blockDim.y * me->place.z)) % 32;
    me->warp->slots[lane] = (double)value;
    gpu::wait(*me->warp);
    V other = (V)me->warp->slots[lane ^ distance];
    gpu::wait(*me->warp);
    return other;
}
