/* What stands behind NOTIFY (RFC 5465): which events of which mailboxes a client wants to hear of, as long as it says
 * nothing else. So it lives in an arena of its own, beside the text it was read from. */
#pragma once
#include "parse.h"

enum imap_event { IMAP_EVENT_NEW = 1, IMAP_EVENT_EXPUNGE = 2, IMAP_EVENT_FLAGS = 4, IMAP_EVENT_NAME = 8, IMAP_EVENT_SUBSCRIPTION = 16,
    IMAP_EVENT_METADATA = 32, IMAP_EVENT_SERVER_METADATA = 64,
    IMAP_EVENTS_MESSAGE = IMAP_EVENT_NEW | IMAP_EVENT_EXPUNGE | IMAP_EVENT_FLAGS };
enum imap_notify_filter { IMAP_NOTIFY_SELECTED, IMAP_NOTIFY_SELECTED_DELAYED, IMAP_NOTIFY_INBOXES, IMAP_NOTIFY_PERSONAL,
    IMAP_NOTIFY_SUBSCRIBED, IMAP_NOTIFY_SUBTREE, IMAP_NOTIFY_MAILBOXES };

struct imap_notify_group {
    enum imap_notify_filter filter;
    struct str *names; /* SUBTREE, MAILBOXES */
    size_t name_count;
    unsigned events;   /* enum imap_event */
};
struct imap_notify_set {
    bool is_set;       /* else NONE */
    bool status;       /* tell how the mailboxes stand now */
    bool bad_event;    /* some event there is not: to be refused with the names of those there are */
    struct imap_notify_group *groups, *selected; /* selected: NULL or the one of them for the selected mailbox */
    size_t n;
    struct imap_fetch fetch; /* items of a new message in the selected mailbox; item_count 0: none */
    struct str *names;
    size_t name_count;
};

/* `text` begins with the blank behind NOTIFY; views of it stay in the set. False: *why says what is wrong. */
bool imap_notify_parse(struct str text, bool utf8, struct arena *arena, struct imap_notify_set *set, const char **why);
/* The names of all events, for BADEVENT. */
void imap_write_events(struct buf *out);
