/* The sandbox tried from inside: `staffetta check-sandbox`. Every attempt is harmless where it is
 * allowed: nothing is read, the connection goes to a closed port of this machine, the program that
 * would be executed is a folder. */
#include "net/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct attempt {
    const char *action;
    unsigned needs; /* the flag that allows it; 0: no role may */
    bool (*works)(struct str secret);
};

static bool can_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool open_secret(struct str secret)
{
    char path[4096];

    if (secret.n >= sizeof path)
        return false;
    memcpy(path, secret.p, secret.n);
    path[secret.n] = 0;
    return can_open(path, O_RDONLY);
}

static bool open_system(struct str secret)
{
    (void)secret;
    return can_open("/etc/passwd", O_RDONLY) || can_open("/", O_RDONLY | O_DIRECTORY);
}

static bool create_file(struct str secret)
{
    (void)secret;
    if (!can_open("/tmp/staffetta-probe", O_WRONLY | O_CREAT))
        return false;
    unlink("/tmp/staffetta-probe");
    return true;
}

static bool connect_tcp(struct str secret)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1),
        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool reached;

    (void)secret;
    if (fd < 0)
        return false;
    reached = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ||
              (errno != EPERM && errno != EACCES);
    close(fd);
    return reached;
}

static bool connect_unix(struct str secret)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)secret;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool listen_tcp(struct str secret)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool listens = fd >= 0 && listen(fd, 1) == 0;

    (void)secret;
    if (fd >= 0)
        close(fd);
    return listens;
}

static bool execute(struct str secret)
{
    char *const arguments[] = {NULL};

    (void)secret;
    execve("/", arguments, arguments); /* a folder: EACCES where executing is allowed */
    return errno != EPERM;
}

static bool make_process(struct str secret)
{
    pid_t pid = fork();

    (void)secret;
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid > 0;
}

static bool trace_process(struct str secret)
{
    (void)secret;
    ptrace(PTRACE_PEEKUSER, getpid(), NULL, NULL); /* ESRCH where tracing is allowed */
    return errno != EPERM;
}

/* The supervisor's: it has every key. */
static bool open_memory(struct str secret)
{
    char path[64];

    (void)secret;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
    return can_open(path, O_RDONLY) || can_open("/proc/self/mem", O_RDWR);
}

static bool read_memory(struct str secret)
{
    char byte;
    struct iovec to = {&byte, 1}, from = {&byte, 1};

    (void)secret;
    /* EFAULT where reading is allowed, and nothing is at that address */
    return process_vm_readv(getppid(), &to, 1, &from, 1, 0) >= 0 || errno != EPERM;
}

static bool attach(struct str secret)
{
    (void)secret;
    if (ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) != 0)
        return false;
    ptrace(PTRACE_DETACH, getppid(), NULL, NULL);
    return true;
}

static bool take_descriptor(struct str secret)
{
    long fd = syscall(SYS_pidfd_open, getppid(), 0);

    (void)secret;
    if (fd >= 0)
        close((int)fd);
    return fd >= 0;
}

static bool make_code(struct str secret)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool made = page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;

    (void)secret;
    if (page != MAP_FAILED)
        munmap(page, 4096);
    return made;
}

static bool raw_socket(struct str secret)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    (void)secret;
    if (fd < 0)
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool see_folders(struct str secret)
{
    (void)secret;
    return can_open("/proc", O_RDONLY | O_DIRECTORY) || can_open("/etc", O_RDONLY | O_DIRECTORY);
}

static bool signal_process(struct str secret)
{
    (void)secret;
    return kill(getppid(), 0) == 0;
}

static const struct attempt attempts[] = {
    {"open a key file", 0, open_secret},
    {"open a system file", 0, open_system},
    {"create a file", 0, create_file},
    {"connect to a TCP port", SANDBOX_CONNECT, connect_tcp},
    {"make a local socket", 0, connect_unix},
    {"listen on a TCP port", 0, listen_tcp},
    {"execute a program", 0, execute},
    {"make a process", 0, make_process},
    {"trace a process", 0, trace_process},
    {"attach to the supervisor", 0, attach},
    {"open the memory of a process", 0, open_memory},
    {"read the memory of a process", 0, read_memory},
    {"take descriptors of a process", 0, take_descriptor},
    {"make code", 0, make_code},
    {"make a raw or netlink socket", 0, raw_socket},
    {"list the processes", 0, see_folders},
    {"signal a process", 0, signal_process},
};

void sandbox_probe(unsigned flags, struct str secret, struct str other, sandbox_probe_fn *result, void *arg)
{
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        errno = 0;
        result(arg, attempts[i].action, attempts[i].works(secret), (attempts[i].needs & flags) != 0);
    }
    result(arg, "open the database of another role", open_secret(other), false);
}
