/* A reload: what a role keeps of the old configuration stays whole until it is told of the new one. */
#include "ipc/boot.h"
#include "ipc/control.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct config *kept; /* as directory does for its lookups */
static int reloads, supervisor_end;

static void reload(struct role *role)
{
    assert_string_equal(kept->hostname.p, "old.example"); /* with AddressSanitizer: not freed */
    kept = role_config(role);
    reloads++;
}

static const struct role_type type = {.id = ROLE_DIRECTORY, .reload = reload};

static void tell_config(struct role *role, const char *text)
{
    boot_handlers.boot_config(role, NULL, &(struct msg_boot_config){STR("staffetta.conf"), str_of(text)});
}

static void run(struct role *role, bool is_reload)
{
    boot_handlers.boot_run(role, NULL, &(struct msg_boot_run){is_reload});
}

static void the_old_configuration_stays_until_run(void **state)
{
    static struct role role;

    (void)state;
    role.type = &type;
    tell_config(&role, "hostname = \"old.example\"\n");
    run(&role, false);
    assert_true(role.fresh_boot);
    kept = role_config(&role);
    role.running = true;
    /* Two reloads at once: the first is never completed. */
    tell_config(&role, "hostname = \"between.example\"\n");
    tell_config(&role, "hostname = \"new.example\"\nlog_level = \"error\"\n");
    boot_handlers.boot_certificate(&role, NULL, &(struct msg_boot_certificate){STR("a"), STR("chain"), STR("key")});
    /* It works on meanwhile. */
    assert_ptr_equal(role_config(&role), kept);
    assert_string_equal(kept->hostname.p, "old.example");
    assert_int_equal(role_certificate_count(&role), 0);
    run(&role, true);
    assert_int_equal(reloads, 1);
    assert_string_equal(kept->hostname.p, "new.example");
    assert_int_equal(role_certificate_count(&role), 1);
    run(&role, false); /* without a configuration: that stays, the certificates go */
    assert_ptr_equal(role_config(&role), kept);
    config_free(role.config);
    str_free(&role.config_path);
}

/* The supervisor, who is answered. */
static int setup(void **state)
{
    int pair[2];

    (void)state;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
        return -1;
    supervisor_end = fcntl(pair[1], F_DUPFD, CONTROL_FD + 1);
    return dup2(pair[0], CONTROL_FD) == CONTROL_FD && supervisor_end >= 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(the_old_configuration_stays_until_run, setup)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
