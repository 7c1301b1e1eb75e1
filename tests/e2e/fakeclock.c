/* LD_PRELOAD: the wall clock of every process is off by what stands in a file (int64, microseconds), the monotonic clock is not.
 * The file is mapped before main, so that no sandbox is in the way. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int gettime_fn(clockid_t, struct timespec *);

static const volatile int64_t *offset;
static gettime_fn *real;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAKECLOCK_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    offset = page == MAP_FAILED ? NULL : page;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int done;
    int64_t us;

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    done = real(clock, t);
    if (done != 0 || offset == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return done;
    us = (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000 + *offset;
    t->tv_sec = (time_t)(us / 1000000);
    t->tv_nsec = (long)(us % 1000000 * 1000);
    return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec t;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    tv->tv_sec = t.tv_sec;
    tv->tv_usec = t.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    if (out != NULL)
        *out = t.tv_sec;
    return t.tv_sec;
}
