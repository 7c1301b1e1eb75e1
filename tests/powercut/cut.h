/* Runs of a world on a disk that loses power (disk.h): at the syncs of a run, every kind of loss of what was not
 * synced; then the world starts on what is left, and its promises are looked after. Then the run goes on from one of
 * those disks.
 *
 * POWERCUT_SEEDS=100 POWERCUT_FIRST=1 runs that many seeds, each with more work, at every sync (tests/powercut/run). */
#pragma once
#include "disk.h"

struct cut_world {
    void (*open)(uint64_t seed);     /* a new folder, running and recording; begins with cut_seed() */
    void (*close)(void);
    const char *(*folder)(void);
    void (*boot)(void);
    void (*halt)(void);              /* as a process that dies; the folder stays */
    void (*work)(unsigned steps);
    void (*set_clock)(int64_t now);
    /* Whether everything promised before that place of the tape is kept; *why says what is not. May go on working
     * while nothing is recorded. */
    bool (*keeps_promises)(size_t at, char *why, size_t size);
    /* The power was lost at that place: what came later was promised to nobody. Then it boots. */
    void (*forget_after)(size_t at);
};

struct cut_effort {
    unsigned seeds, generations, steps, cuts, losses; /* cuts: 0 for all; losses: disks a cut */
};

/* The seeds of the environment with `thorough`, or those of `brief`; fails the test at the first broken promise. */
void cut_run(const struct cut_world *world, const struct cut_effort *brief, const struct cut_effort *thorough);

/* All chance of a run comes from its seed, also what the program, libsodium and SQLite draw. */
void cut_seed(uint64_t seed);
uint64_t cut_random(uint64_t below);
extern uint64_t cut_state; /* put back, the same is drawn again */
