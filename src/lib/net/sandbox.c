/* Landlock for files and TCP, seccomp for system calls. The lists below are what ARCHITECTURE.md's
 * column "may touch" means: a role gets the common calls and those of its flags, everything else
 * fails with EPERM, so that a library that tries something optional goes on without it. */
#include "net/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Landlock (not in the C library; constants up to ABI 6, the build machine may know fewer) ---- */

enum { RULE_PATH_BENEATH = 1, GET_VERSION = 1 };
static const uint64_t fs_rights_by_abi[] = {0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1,
    (1 << 15) - 1, (1 << 16) - 1};
static const uint64_t net_bind_tcp = 1, net_connect_tcp = 2, scope_abstract_unix = 1, scope_signal = 2;

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

struct path_beneath_attr {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static bool allow_path(int ruleset, const char *path, uint64_t rights, struct err *err)
{
    struct path_beneath_attr rule = {.allowed = rights, .parent = open(path, O_PATH | O_CLOEXEC)};
    long result;

    if (rule.parent < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    result = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent);
    if (result != 0)
        return err_set(err, ERR_PERMANENT, "landlock: %s: %s", path, strerror(errno));
    return true;
}

static bool restrict_files(unsigned flags, const char *const *paths, bool required, struct err *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, GET_VERSION);
    struct ruleset_attr attr = {0};
    size_t attr_size = sizeof attr.fs;
    int ruleset;
    bool ok = true;

    if (abi <= 0)
        return !required ||
               err_set(err, ERR_PERMANENT,
                   "this kernel has no Landlock (%s); boot with lsm=landlock,... or set sandbox = \"if-available\"",
                   strerror(errno));
    attr.fs = fs_rights_by_abi[abi > 5 ? 5 : abi];
    if (abi >= 4) {
        attr.net = net_bind_tcp | (flags & SANDBOX_CONNECT ? 0 : net_connect_tcp);
        attr_size = 2 * sizeof attr.fs;
    }
    if (flags & SANDBOX_CONNECT) /* a source address is bound before connecting */
        attr.net = 0;
    if (abi >= 6) {
        attr.scoped = scope_abstract_unix | scope_signal;
        attr_size = sizeof attr;
    }
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, attr_size, 0);
    if (ruleset < 0)
        return err_set(err, ERR_PERMANENT, "landlock: %s", strerror(errno));
    for (size_t i = 0; ok && (flags & SANDBOX_FILES) && paths[i] != NULL; i++)
        ok = allow_path(ruleset, paths[i], attr.fs & ~UINT64_C(1), err); /* all but execute */
    if (ok && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        ok = err_set(err, ERR_PERMANENT, "landlock: %s", strerror(errno));
    close(ruleset);
    return ok;
}

/* ---- seccomp ---- */

#define CALL(name) SCMP_SYS(name)

static const int common_calls[] = {CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(recvfrom),
    CALL(recvmsg), CALL(sendmsg), CALL(sendto), CALL(close), CALL(shutdown), CALL(getsockopt),
    CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(epoll_wait), CALL(epoll_pwait),
    CALL(epoll_ctl), CALL(epoll_create1), CALL(eventfd2), CALL(timerfd_create), CALL(timerfd_settime),
    CALL(poll), CALL(ppoll), CALL(fcntl), CALL(fstat), CALL(munmap), CALL(mremap), CALL(madvise),
    CALL(brk), CALL(futex), CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep),
    CALL(nanosleep), CALL(gettimeofday), CALL(time), CALL(getrandom), CALL(getpid), CALL(gettid),
    CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(exit), CALL(exit_group),
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigaltstack),
    CALL(restart_syscall), CALL(sched_yield), CALL(sched_getaffinity), CALL(getrusage), CALL(uname),
    CALL(sysinfo), CALL(rseq), CALL(membarrier), CALL(tgkill), CALL(pipe2), CALL(lseek)};

static const int file_calls[] = {CALL(openat), CALL(open), CALL(newfstatat), CALL(stat), CALL(lstat),
    CALL(statx), CALL(pread64), CALL(pwrite64), CALL(preadv), CALL(pwritev), CALL(fsync),
    CALL(fdatasync), CALL(syncfs), CALL(ftruncate), CALL(fallocate), CALL(unlink), CALL(unlinkat), CALL(mkdir),
    CALL(mkdirat), CALL(rmdir), CALL(rename), CALL(renameat), CALL(renameat2), CALL(access),
    CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat), CALL(getcwd),
    CALL(getdents64), CALL(fchmod), CALL(fchown), CALL(umask), CALL(flock), CALL(statfs),
    CALL(fstatfs), CALL(utimensat)};

static const int accept_calls[] = {CALL(accept4), CALL(accept)};

static const int clock_calls[] = {CALL(adjtimex), CALL(clock_adjtime)};

static const int connect_calls[] = {CALL(connect), CALL(bind), CALL(sendmmsg), CALL(recvmmsg),
    CALL(select), CALL(pselect6)};

struct filter {
    scmp_filter_ctx ctx;
    int failed; /* the first error, negative */
};

static void allow(struct filter *f, const int *calls, size_t n)
{
    for (size_t i = 0; i < n && f->failed == 0; i++)
        f->failed = seccomp_rule_add(f->ctx, SCMP_ACT_ALLOW, calls[i], 0);
}

#define ALLOW(filter, list) allow(filter, list, sizeof(list) / sizeof((list)[0]))

static void allow_if(struct filter *f, int call, struct scmp_arg_cmp condition)
{
    if (f->failed == 0)
        f->failed = seccomp_rule_add(f->ctx, SCMP_ACT_ALLOW, call, 1, condition);
}

static void fill_filter(struct filter *f, unsigned flags)
{
    ALLOW(f, common_calls);
    /* Memory is never made executable, ioctl only asks how many bytes wait, and limits are only read. */
    allow_if(f, CALL(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_if(f, CALL(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_if(f, CALL(ioctl), SCMP_A1(SCMP_CMP_EQ, 0x541b /* FIONREAD */));
    allow_if(f, CALL(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
    if (flags & SANDBOX_FILES)
        ALLOW(f, file_calls);
    if (flags & SANDBOX_ACCEPT)
        ALLOW(f, accept_calls);
    if (flags & SANDBOX_PAIR)
        allow_if(f, CALL(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    if (flags & SANDBOX_CLOCK)
        ALLOW(f, clock_calls);
    if (flags & SANDBOX_CONNECT) {
        ALLOW(f, connect_calls);
        allow_if(f, CALL(socket), SCMP_A0(SCMP_CMP_EQ, AF_INET));
        allow_if(f, CALL(socket), SCMP_A0(SCMP_CMP_EQ, AF_INET6));
    }
}

static bool restrict_calls(unsigned flags, bool required, struct err *err)
{
    struct filter f = {.ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM))};

    if (f.ctx == NULL)
        return err_set(err, ERR_PERMANENT, "seccomp: out of memory");
    fill_filter(&f, flags);
    if (f.failed == 0)
        f.failed = seccomp_load(f.ctx);
    seccomp_release(f.ctx);
    if (f.failed != 0 && required)
        return err_set(err, ERR_PERMANENT, "seccomp: %s; or set sandbox = \"if-available\"", strerror(-f.failed));
    return true;
}

bool sandbox_enter(unsigned flags, const char *const *paths, bool required, struct err *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(err, ERR_PERMANENT, "no_new_privs: %s", strerror(errno));
    return restrict_files(flags, paths, required, err) && restrict_calls(flags, required, err);
}
