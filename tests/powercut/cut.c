#include "cut.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>
#include <sqlite3.h>

#include <cmocka.h>

enum { WHY = 400 };

static const struct cut_world *world;
static int64_t time_of_loss;
static unsigned long pictures, cuts, operations;
uint64_t cut_state;

uint64_t cut_random(uint64_t below)
{
    cut_state ^= cut_state >> 12;
    cut_state ^= cut_state << 25;
    cut_state ^= cut_state >> 27;
    return (cut_state * UINT64_C(2685821657736338717) >> 16) % below;
}

void cut_seed(uint64_t seed)
{
    cut_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < 16; i++)
        cut_random(2);
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)cut_random(INT32_MAX), NULL);
}

/* libsodium's, for the program. */
void randombytes_buf(void *const out, const size_t n)
{
    unsigned char *p = out;

    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)cut_random(256);
}

static void check(uint64_t seed, size_t at, enum disk_loss loss, uint64_t variant)
{
    char why[WHY] = "";

    disk_remove(world->folder());
    disk_lose_power(at, loss, variant, world->folder());
    world->set_clock(time_of_loss);
    world->boot();
    if (!world->keeps_promises(at, why, sizeof why)) {
        if (getenv("POWERCUT_TAPE") != NULL)
            disk_dump(0, at);
        fail_msg("seed %llu, power lost at %zu of %zu, losing %s (%llu): %s", (unsigned long long)seed, at,
            disk_length(), disk_loss_name(loss), (unsigned long long)variant, why);
    }
    world->halt();
    pictures++;
}

/* The next place at which power is to be lost: before a sync, when most is under way, or after the last one. */
static size_t next_cut(size_t at, size_t stride)
{
    for (at++; at < disk_length(); at++)
        if (disk_is_sync(at) && --stride == 0)
            return at;
    return disk_length();
}

static void check_cut(uint64_t seed, size_t at, unsigned losses)
{
    cuts++;
    for (unsigned i = 0; i < losses; i++) {
        enum disk_loss loss = losses >= DISK_LOSSES && i < DISK_LOSSES ? (enum disk_loss)i
                              : cut_random(2) ? DISK_LOSES_SOME
                                              : (enum disk_loss)cut_random(DISK_LOSSES);

        check(seed, at, loss, cut_random(UINT32_MAX));
    }
}

/* Loses power at places up to `last`, then goes on from one of the disks found there. */
static void generation(uint64_t seed, const struct cut_effort *e)
{
    size_t last, stride;

    world->work(e->steps);
    disk_pause();
    time_of_loss = clock_now();
    world->halt();
    operations += disk_length();
    last = disk_length() / 2 + cut_random(disk_length() / 2 + 1);
    stride = e->cuts == 0 ? 1 : disk_count_syncs() / e->cuts + 1;
    for (size_t at = next_cut(cut_random(stride), stride); at < last; at = next_cut(at, stride))
        check_cut(seed, at, e->losses);
    disk_remove(world->folder());
    disk_lose_power(last, DISK_LOSES_SOME, cut_random(UINT32_MAX), world->folder());
    world->forget_after(last);
    disk_record(world->folder());
    world->set_clock(time_of_loss);
    world->boot();
}

static void run_seed(uint64_t seed, const struct cut_effort *e)
{
    char why[WHY] = "";

    world->open(seed);
    for (unsigned i = 0; i < e->generations; i++)
        generation(seed, e);
    disk_pause();
    if (!world->keeps_promises(disk_length(), why, sizeof why))
        fail_msg("seed %llu, at the end: %s", (unsigned long long)seed, why);
    world->close();
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

void cut_run(const struct cut_world *w, const struct cut_effort *brief, const struct cut_effort *thorough)
{
    uint64_t first = from_environment("POWERCUT_FIRST", 1), seeds = from_environment("POWERCUT_SEEDS", 0);
    const struct cut_effort *e = seeds == 0 ? brief : thorough;

    world = w;
    for (uint64_t seed = first; seed < first + (seeds == 0 ? e->seeds : seeds); seed++)
        run_seed(seed, e);
    print_message("powercut: %lu operations on tape, power lost at %lu places, %lu disks looked at\n", operations, cuts,
        pictures);
}
