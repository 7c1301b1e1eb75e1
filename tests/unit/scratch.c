#include "scratch.h"

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool make_below(char *folder, const char *top, const char *name)
{
    int n = snprintf(folder, SCRATCH_MAX, "%s/%s.XXXXXX", top, name);

    return n > 0 && n < SCRATCH_MAX && mkdtemp(folder) != NULL;
}

void scratch_make(char folder[static SCRATCH_MAX], const char *name)
{
    const char *top = getenv("TMPDIR");

    if (make_below(folder, top != NULL && top[0] == '/' ? top : "/tmp", name))
        return;
    perror("no folder for tests");
    abort();
}

void scratch_make_in_memory(char folder[static SCRATCH_MAX], const char *name)
{
    if (!make_below(folder, "/dev/shm", name))
        scratch_make(folder, name);
}

/* Not remove(3): some tests have an unlink and an rmdir of their own. */
static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    if (where->level == 0)
        return 0;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

void scratch_empty(const char *folder)
{
    if (nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0)
        return;
    perror(folder);
    abort();
}

void scratch_remove(const char *folder)
{
    scratch_empty(folder);
    rmdir(folder);
}
