/* XMARKED, in sessions of the administrator alone: which of these marks does the account know (docs/migration.md)?
 *
 *   C: 7 XMARKED 0f3a... 77b1...
 *   S: * XMARKED 77b1...
 *   S: 7 OK Done
 *
 * A mark is what XMARK of an APPEND gave to an imported message (imap_append.c). */
#include "imap.h"

void imap_on_xmarked(struct imap *im)
{
    const struct imap_words *w = &im->command.words;
    struct err err = {0};
    bool known;

    if ((im->info->flags & SESSION_ADMIN) == 0) {
        imap_bad(im, "This command is not offered here");
        return;
    }
    buf_add(&im->out, STR("* XMARKED"));
    for (size_t i = 0; i < w->n; i++) {
        if (!store_mark_is_known(im->box->store, w->words[i], &known, &err)) {
            buf_add(&im->out, STR("\r\n"));
            imap_failed(im, &err);
            return;
        }
        if (known)
            buf_addf(&im->out, " %.*s", STR_ARG(w->words[i]));
    }
    buf_add(&im->out, STR("\r\n"));
    imap_ok(im, NULL, "Done");
}
