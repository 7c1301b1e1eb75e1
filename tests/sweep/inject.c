/* Lets one system call of a running process fail, from outside, sandbox or not (x86-64):
 *
 *   inject PID NUMBER N error ERRNO   the Nth call from now on is not made and fails
 *   inject PID NUMBER N after ERRNO   it is made, and is said to have failed (close, fsync)
 *   inject PID NUMBER N short 0       it is asked for half of its bytes, so reads or writes less
 *   inject PID                        fails nothing, counts all calls
 *
 * Says "armed" when it watches, "hit" when the call has failed (and lets go of the process), or, ended by
 * SIGTERM before that, "missed"; when counting, a line "NUMBER COUNT" for each call instead. strace(1) can do the first of these;
 * it cannot make a call short without losing bytes, nor let one fail that was made. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 512 };

struct plan {
    pid_t pid;
    bool counts;
    long long number;
    long left; /* calls of that number until it is its turn */
    char action;
    int error;
    struct user_regs_struct asked; /* with what the call was made */
};

static volatile sig_atomic_t told_to_end;
static long count[CALLS];

static void on_term(int sig)
{
    (void)sig;
    told_to_end = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool get(pid_t pid, struct user_regs_struct *r)
{
    return ptrace(PTRACE_GETREGS, pid, 0, r) == 0;
}

static void change_entry(struct plan *p, struct user_regs_struct *r)
{
    p->asked = *r;
    if (r->orig_rax == SYS_brk)
        r->rdi = 0; /* which brk(2) answers as it does when there is no memory: nothing changed */
    else if (p->action == 'e')
        r->orig_rax = (unsigned long long)-1;
    else if (p->action == 's' && r->rdx > 1)
        r->rdx /= 2;
    ptrace(PTRACE_SETREGS, p->pid, 0, r);
}

/* At the end of the call that was chosen. A call leaves the registers of its arguments as they were, and the C library
 * counts on that: its brk() compares the answer with what it asked for. */
static void change_exit(struct plan *p)
{
    struct user_regs_struct r;

    if (!get(p->pid, &r))
        return;
    r.rdi = p->asked.rdi;
    r.rdx = p->asked.rdx;
    if (p->action != 's' && p->asked.orig_rax != SYS_brk)
        r.rax = (unsigned long long)-p->error;
    ptrace(PTRACE_SETREGS, p->pid, 0, &r);
}

/* Of epoll_ctl only EPOLL_CTL_ADD can fail for want of memory, of fcntl only the taking of a lock. */
static bool can_fail(pid_t pid, const struct user_regs_struct *r)
{
    if (r->orig_rax == SYS_epoll_ctl)
        return r->rsi == EPOLL_CTL_ADD;
    if (r->orig_rax == SYS_fcntl)
        return (r->rsi == F_SETLK || r->rsi == F_SETLKW) && (short)ptrace(PTRACE_PEEKDATA, pid, r->rdx, 0) != F_UNLCK;
    return true;
}

/* True when the call that begins is the one. */
static bool at_entry(struct plan *p)
{
    struct user_regs_struct r;

    if (!get(p->pid, &r))
        return false;
    if (p->counts)
        p->number = (long long)r.orig_rax;
    if ((long long)r.orig_rax != p->number || !can_fail(p->pid, &r))
        return false;
    if (r.orig_rax < CALLS)
        count[r.orig_rax]++;
    if (p->counts || --p->left > 0)
        return false;
    change_entry(p, &r);
    return true;
}

static bool is_entry(pid_t pid)
{
    struct __ptrace_syscall_info info;

    return ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

/* Follows the process until its call was hit, it ended, or we were told to end. */
static const char *follow(struct plan *p)
{
    bool chosen = false;
    int status;

    while (!told_to_end) {
        int deliver = 0;

        if (waitpid(p->pid, &status, __WALL) < 0) {
            if (errno == EINTR)
                continue;
            return "gone";
        }
        if (!WIFSTOPPED(status))
            return "gone";
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            if (is_entry(p->pid)) {
                chosen = at_entry(p);
            } else if (chosen) {
                change_exit(p);
                ptrace(PTRACE_DETACH, p->pid, 0, 0);
                return "hit";
            }
        } else if (status >> 16 == 0) {
            deliver = WSTOPSIG(status);
        }
        ptrace(PTRACE_SYSCALL, p->pid, 0, deliver);
    }
    return "missed";
}

static void read_plan(struct plan *p, int argc, char **argv)
{
    if (argc != 2 && argc != 6) {
        fputs("usage: inject PID [NUMBER N error|after|short ERRNO]\n", stderr);
        exit(2);
    }
    p->pid = (pid_t)strtol(argv[1], NULL, 10);
    p->counts = argc == 2;
    if (p->counts)
        return;
    p->number = strtol(argv[2], NULL, 10);
    p->left = strtol(argv[3], NULL, 10);
    p->action = argv[4][0];
    p->error = (int)strtol(argv[5], NULL, 10);
}

int main(int argc, char **argv)
{
    struct plan plan = {0};
    struct sigaction act = {.sa_handler = on_term}; /* no SA_RESTART: waitpid shall end */

    read_plan(&plan, argc, argv);
    sigaction(SIGTERM, &act, NULL);
    if (ptrace(PTRACE_SEIZE, plan.pid, 0, PTRACE_O_TRACESYSGOOD) != 0)
        die("seize");
    if (ptrace(PTRACE_INTERRUPT, plan.pid, 0, 0) != 0)
        die("interrupt");
    if (waitpid(plan.pid, NULL, __WALL) < 0 || ptrace(PTRACE_SYSCALL, plan.pid, 0, 0) != 0)
        die("follow");
    puts("armed");
    fflush(stdout);
    puts(follow(&plan));
    for (int i = 0; plan.counts && i < CALLS; i++)
        if (count[i] > 0)
            printf("%d %ld\n", i, count[i]);
    return 0; /* the kernel lets go of the process */
}
