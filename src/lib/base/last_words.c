#include "base/last_words.h"
#include "base/err.h"
#include "base/log.h"

#include <signal.h>
#include <sodium.h>
#include <stddef.h>

static const char *why = "abort: a library gave up; what it said itself stands before this line";

static void on_misuse(void)
{
    why = "abort: libsodium gave up, it had no randomness or was used wrongly";
}

/* Called by abort() itself, so never in the middle of the log's own work unless that is what failed; when it returns,
 * abort() ends the process as if there were no handler. */
static void on_abort(int sig)
{
    (void)sig;
    log_last_words(why);
}

void last_words_begin(void)
{
    struct sigaction how = {.sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND};

    sodium_set_misuse_handler(on_misuse);
    if (sodium_init() < 0)
        fatal("libsodium cannot be used");
    sigaction(SIGABRT, &how, NULL);
}
