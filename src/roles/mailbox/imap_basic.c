/* IMAP commands that need no mailbox: CAPABILITY, NOOP, LOGOUT, ID, ENABLE, NAMESPACE, IDLE. See imap.h. */
#include "base/log.h"
#include "imap.h"

#include <inttypes.h>
#include <string.h>

void imap_write_capabilities(const struct imap *im, struct buf *out)
{
    buf_add(out, STR("CAPABILITY IMAP4rev2 IMAP4rev1 ENABLE ID NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE IDLE LITERAL+ SPECIAL-USE "
                     "CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS LIST-METADATA METADATA NOTIFY STATUS=SIZE ESEARCH SEARCHRES WITHIN PARTIAL SORT SORT=DISPLAY ESORT "
                     "THREAD=REFERENCES THREAD=ORDEREDSUBJECT I18NLEVEL=1 PREVIEW CONDSTORE QRESYNC OBJECTID "
                     "SAVEDATE MULTIAPPEND CATENATE REPLACE BINARY UTF8=ACCEPT UIDONLY INPROGRESS QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE "
                     "ACL RIGHTS=texk LIST-MYRIGHTS"));
    buf_add(out, STR(" UNAUTHENTICATE"));
    if (im->compression == NULL)
        buf_add(out, STR(" COMPRESS=DEFLATE"));
    if (im->info->command_limit != 0)
        buf_addf(out, " MESSAGELIMIT=%" PRIu32, im->info->command_limit);
    buf_addf(out, " APPENDLIMIT=%" PRId64, imap_append_limit(im)); /* the same for every mailbox (RFC 7889) */
}

void imap_on_capability(struct imap *im)
{
    buf_add(&im->out, STR("* "));
    imap_write_capabilities(im, &im->out);
    buf_add(&im->out, STR("\r\n"));
    imap_ok(im, NULL, "That is what there is");
}

void imap_on_noop(struct imap *im)
{
    imap_ok(im, NULL, "Done");
}

void imap_on_logout(struct imap *im)
{
    buf_add(&im->out, STR("* BYE Logging out\r\n"));
    imap_view_close(im);
    imap_notify_end(im);
    imap_ok(im, NULL, "Goodbye");
    im->closed = true;
}

void imap_on_id(struct imap *im)
{
    const struct imap_words *w = &im->command.words;
    struct buf text;

    buf_init(&text, 1000);
    for (size_t i = 0; i + 1 < w->n; i += 2)
        if (w->words[i + 1].p != NULL)
            buf_addf(&text, "%s%.*s=%.*s", i > 0 ? " " : "", STR_ARG(w->words[i]), STR_ARG(w->words[i + 1]));
    log_info("imap-id", "account=%lld client=\"%.*s\"", (long long)im->info->account, STR_ARG(buf_str(&text)));
    buf_clear(&text);
    buf_add(&im->out, STR("* ID (\"name\" \"Staffetta\")\r\n"));
    imap_ok(im, NULL, "Pleased to meet you");
}

/* ---- ENABLE ---- */

static const struct {
    const char *name;
    unsigned enables;
} extensions[] = {
    {"IMAP4rev2", IMAP_ENABLED_REV2},
    {"CONDSTORE", IMAP_ENABLED_CONDSTORE},
    {"QRESYNC", IMAP_ENABLED_QRESYNC | IMAP_ENABLED_CONDSTORE},
    {"UTF8=ACCEPT", IMAP_ENABLED_UTF8},
    {"UIDONLY", IMAP_ENABLED_UIDONLY},
    {"METADATA", IMAP_ENABLED_METADATA},
};

static void tell_highest(struct imap *im)
{
    if (im->view.folder != NULL)
        buf_addf(&im->out, "* OK [HIGHESTMODSEQ %" PRId64 "] Changes\r\n", im->view.whole);
}

void imap_enable_condstore(struct imap *im)
{
    if (!(im->enabled & IMAP_ENABLED_CONDSTORE))
        tell_highest(im);
    im->enabled |= IMAP_ENABLED_CONDSTORE;
}

void imap_on_enable(struct imap *im)
{
    const struct imap_words *w = &im->command.words;
    unsigned before = im->enabled;

    buf_add(&im->out, STR("* ENABLED"));
    for (size_t k = 0; k < sizeof extensions / sizeof *extensions; k++)
        for (size_t i = 0; i < w->n; i++)
            if (str_ieq(w->words[i], str_of(extensions[k].name)) && (im->enabled & extensions[k].enables) != extensions[k].enables) {
                im->enabled |= extensions[k].enables;
                buf_addf(&im->out, " %s", extensions[k].name);
            }
    buf_add(&im->out, STR("\r\n"));
    if (im->enabled & ~before & IMAP_ENABLED_METADATA)
        (void)imap_notify_get(im);
    if (im->enabled & ~before & IMAP_ENABLED_CONDSTORE)
        tell_highest(im);
    imap_ok(im, NULL, "Enabled");
}

void imap_on_namespace(struct imap *im)
{
    buf_add(&im->out, STR("* NAMESPACE ((\"\" \"/\")) ((\"" IMAP_OTHERS "/\" \"/\")) NIL\r\n"));
    imap_ok(im, NULL, "Done");
}

/* ---- IDLE ---- */

void imap_on_idle(struct imap *im)
{
    buf_add(&im->out, STR("+ idling\r\n"));
    im->idling = true;
    im->telling.tried = IMAP_VIEW_BEHIND; /* expunges may be told now */
    imap_input_done(&im->input);
}

/* The line that ends it; anything else ends it too, with BAD. */
void imap_idle_line(struct imap *im, struct str line)
{
    im->idling = false;
    im->tell_expunges = true;
    if (str_ieq(str_trim(line), STR("DONE")))
        imap_ok(im, NULL, "Idle is over");
    else
        imap_bad(im, "DONE expected");
}
