/* IMAP commands: from the text of one (imap/input.h) to a struct (RFC 9051, sections 6 and 9; RFC 3501;
 * the extensions named at each field). Everything lives in the arena given, or is a view of the text.
 * Mailbox names come out as UTF-8 in NFC, whichever way the client wrote them. */
#pragma once
#include "base/arena.h"
#include "set.h"

enum { IMAP_TAG_MAX = 64 };
enum imap_state { IMAP_NOT_AUTHENTICATED = 1, IMAP_AUTHENTICATED = 2, IMAP_SELECTED = 4,
    IMAP_LOGGED_IN = IMAP_AUTHENTICATED | IMAP_SELECTED, IMAP_ANY = 7 };

/* verb, states, whether it may follow "UID", what reads its arguments. One line a command: the parser's table and the
 * names in logs come from it. */
#define IMAP_VERBS(V)                                                                                              \
    V(CAPABILITY, IMAP_ANY, false, nothing)                                                                        \
    V(NOOP, IMAP_ANY, false, nothing)                                                                              \
    V(LOGOUT, IMAP_ANY, false, nothing)                                                                            \
    V(ID, IMAP_ANY, false, id)                                                                                     \
    V(STARTTLS, IMAP_NOT_AUTHENTICATED, false, nothing)                                                            \
    V(AUTHENTICATE, IMAP_NOT_AUTHENTICATED, false, authenticate)                                                   \
    V(LOGIN, IMAP_NOT_AUTHENTICATED, false, login)                                                                 \
    V(ENABLE, IMAP_LOGGED_IN, false, words)                                                                        \
    V(SELECT, IMAP_LOGGED_IN, false, imap_parse_select)                                                            \
    V(EXAMINE, IMAP_LOGGED_IN, false, imap_parse_select)                                                           \
    V(CREATE, IMAP_LOGGED_IN, false, create)                                                                       \
    V(DELETE, IMAP_LOGGED_IN, false, one_mailbox)                                                                  \
    V(RENAME, IMAP_LOGGED_IN, false, rename_mailbox)                                                               \
    V(SUBSCRIBE, IMAP_LOGGED_IN, false, one_mailbox)                                                               \
    V(UNSUBSCRIBE, IMAP_LOGGED_IN, false, one_mailbox)                                                             \
    V(LIST, IMAP_LOGGED_IN, false, imap_parse_list)                                                                \
    V(LSUB, IMAP_LOGGED_IN, false, imap_parse_lsub)                                                                \
    V(NAMESPACE, IMAP_LOGGED_IN, false, nothing)                                                                   \
    V(STATUS, IMAP_LOGGED_IN, false, imap_parse_status)                                                            \
    V(APPEND, IMAP_LOGGED_IN, false, own_grammar)                                                                  \
    V(IDLE, IMAP_LOGGED_IN, false, nothing)                                                                        \
    V(UNAUTHENTICATE, IMAP_LOGGED_IN, false, nothing)                                                              \
    V(COMPRESS, IMAP_LOGGED_IN, false, words)                                                                      \
    V(NOTIFY, IMAP_LOGGED_IN, false, own_grammar)                                                                  \
    V(GETQUOTA, IMAP_LOGGED_IN, false, quota_root)                                                                 \
    V(GETQUOTAROOT, IMAP_LOGGED_IN, false, one_mailbox)                                                            \
    V(SETQUOTA, IMAP_LOGGED_IN, false, set_quota)                                                                  \
    V(GETACL, IMAP_LOGGED_IN, false, one_mailbox)                                                                  \
    V(SETACL, IMAP_LOGGED_IN, false, access_right)                                                                 \
    V(DELETEACL, IMAP_LOGGED_IN, false, access_right)                                                              \
    V(LISTRIGHTS, IMAP_LOGGED_IN, false, access_right)                                                             \
    V(MYRIGHTS, IMAP_LOGGED_IN, false, one_mailbox)                                                                \
    V(GETMETADATA, IMAP_LOGGED_IN, false, imap_parse_getmetadata)                                                  \
    V(SETMETADATA, IMAP_LOGGED_IN, false, imap_parse_setmetadata)                                                  \
    V(CHECK, IMAP_SELECTED, false, nothing)                                                                        \
    V(CLOSE, IMAP_SELECTED, false, nothing)                                                                        \
    V(UNSELECT, IMAP_SELECTED, false, nothing)                                                                     \
    V(EXPUNGE, IMAP_SELECTED, true, expunge)                                                                       \
    V(SEARCH, IMAP_SELECTED, true, imap_parse_search)                                                              \
    V(SORT, IMAP_SELECTED, true, imap_parse_sort)                                                                  \
    V(THREAD, IMAP_SELECTED, true, imap_parse_thread)                                                              \
    V(FETCH, IMAP_SELECTED, true, imap_parse_fetch)                                                                \
    V(STORE, IMAP_SELECTED, true, imap_parse_store)                                                                \
    V(COPY, IMAP_SELECTED, true, copy)                                                                             \
    V(MOVE, IMAP_SELECTED, true, copy)                                                                             \
    V(REPLACE, IMAP_SELECTED, true, own_grammar)                                                                   \
    V(XMARKED, IMAP_LOGGED_IN, false, words)

enum imap_verb {
#define IMAP_VERB_NAME(name, states, uid, parse) IMAP_##name,
    IMAP_VERBS(IMAP_VERB_NAME)
#undef IMAP_VERB_NAME
    IMAP_VERB_COUNT
};

/* ---- flags ---- */
enum imap_flag { IMAP_SEEN = 1, IMAP_ANSWERED = 2, IMAP_FLAGGED = 4, IMAP_DELETED = 8, IMAP_DRAFT = 16 };
enum { IMAP_KEYWORD_MAX = 200, IMAP_KEYWORDS_MAX = 500 }; /* bytes of one; in one list */
struct imap_flags {
    unsigned system;       /* enum imap_flag */
    struct str *keywords;
    size_t keyword_count;
};

/* ---- FETCH (RFC 9051 6.4.5, RFC 3516, RFC 7162, RFC 8474, RFC 8514, RFC 8970) ---- */
enum imap_item_kind {
    IMAP_ITEM_FLAGS, IMAP_ITEM_UID, IMAP_ITEM_INTERNALDATE, IMAP_ITEM_SIZE, IMAP_ITEM_ENVELOPE, IMAP_ITEM_STRUCTURE, /* BODY */
    IMAP_ITEM_BODYSTRUCTURE, IMAP_ITEM_MODSEQ, IMAP_ITEM_EMAILID, IMAP_ITEM_THREADID, IMAP_ITEM_SAVEDATE,
    IMAP_ITEM_PREVIEW, IMAP_ITEM_BODY,        /* BODY[...] */
    IMAP_ITEM_BINARY, IMAP_ITEM_BINARY_SIZE,
    IMAP_ITEM_RFC822, IMAP_ITEM_RFC822_HEADER, IMAP_ITEM_RFC822_TEXT,
};
enum imap_section_part {
    IMAP_WHOLE,     /* BODY[] or BODY[1.2] */
    IMAP_HEADER, IMAP_HEADER_FIELDS, IMAP_HEADER_FIELDS_NOT, IMAP_TEXT, IMAP_MIME,
};
struct imap_section {
    uint32_t *path; /* part numbers */
    size_t depth;
    enum imap_section_part part;
    struct str *fields;
    size_t field_count;
};
struct imap_item {
    enum imap_item_kind kind;
    bool peek;
    struct imap_section section;
    bool partial;
    uint64_t offset, length;
    bool lazy; /* PREVIEW (LAZY) */
};
struct imap_fetch {
    struct imap_set set;
    struct imap_item *items;
    size_t item_count;
    bool changed_since_given, vanished;
    uint64_t changed_since;
    int64_t partial_from, partial_to; /* RFC 9394; both 0: none; negative: from the end */
};

/* ---- STORE (RFC 7162 UNCHANGEDSINCE) ---- */
enum imap_store_kind { IMAP_STORE_SET, IMAP_STORE_ADD, IMAP_STORE_REMOVE };
struct imap_store {
    struct imap_set set;
    enum imap_store_kind kind;
    bool silent;
    bool unchanged_since_given;
    uint64_t unchanged_since;
    struct imap_flags flags;
};

/* ---- SEARCH, SORT, THREAD (RFC 9051 6.4.4, 4731, 5032, 5182, 5256, 5267, 5957, 7162, 8474, 8514, 9394) ---- */
enum imap_key {
    IMAP_KEY_ALL, IMAP_KEY_AND, IMAP_KEY_OR, IMAP_KEY_NOT,
    IMAP_KEY_SEQUENCE, IMAP_KEY_UID,
    IMAP_KEY_FLAG,     /* flag: one of enum imap_flag */
    IMAP_KEY_KEYWORD,  /* text */
    IMAP_KEY_HEADER,   /* name, text; also FROM, TO, CC, BCC, SUBJECT */
    IMAP_KEY_BODY, IMAP_KEY_TEXT,
    IMAP_KEY_BEFORE, IMAP_KEY_ON, IMAP_KEY_SINCE,                   /* day: days since 1970 */
    IMAP_KEY_SENT_BEFORE, IMAP_KEY_SENT_ON, IMAP_KEY_SENT_SINCE,
    IMAP_KEY_SAVED_BEFORE, IMAP_KEY_SAVED_ON, IMAP_KEY_SAVED_SINCE, IMAP_KEY_SAVEDATE_SUPPORTED,
    IMAP_KEY_LARGER, IMAP_KEY_SMALLER, IMAP_KEY_OLDER, IMAP_KEY_YOUNGER, IMAP_KEY_MODSEQ, /* number */
    IMAP_KEY_NEW, IMAP_KEY_RECENT, IMAP_KEY_OLD,                  /* RFC 3501; we keep no \Recent */
    IMAP_KEY_EMAILID, IMAP_KEY_THREADID, /* text */
};
struct imap_search_key {
    enum imap_key key;
    struct imap_search_key *first; /* AND, OR, NOT: children */
    struct imap_search_key *next;  /* sibling */
    struct imap_set set;
    unsigned flag;
    struct str name, text;         /* text is UTF-8 */
    int64_t day;
    uint64_t number;
    int cost;                      /* for who searches: the parser leaves it 0 */
};
enum imap_return { IMAP_RETURN_MIN = 1, IMAP_RETURN_MAX = 2, IMAP_RETURN_ALL = 4, IMAP_RETURN_COUNT = 8, IMAP_RETURN_SAVE = 16,
    IMAP_RETURN_PARTIAL = 32 };
enum imap_sort_key { IMAP_SORT_ARRIVAL, IMAP_SORT_CC, IMAP_SORT_DATE, IMAP_SORT_FROM, IMAP_SORT_SIZE, IMAP_SORT_SUBJECT,
    IMAP_SORT_TO, IMAP_SORT_DISPLAYFROM, IMAP_SORT_DISPLAYTO };
struct imap_sort_criterion {
    enum imap_sort_key key;
    bool reverse;
};
enum imap_thread { IMAP_THREAD_REFERENCES, IMAP_THREAD_ORDEREDSUBJECT };
struct imap_search {
    bool esearch;      /* RETURN (...) was given */
    unsigned returns;  /* enum imap_return */
    int64_t partial_from, partial_to;
    struct imap_sort_criterion *sort; /* SORT */
    size_t sort_count;
    enum imap_thread thread;
    struct imap_search_key *root;     /* AND of all keys */
};

/* ---- LIST (RFC 5258, 5819, 6154, 8440, 9590) and STATUS ---- */
enum imap_list_select { IMAP_LIST_SUBSCRIBED = 1, IMAP_LIST_REMOTE = 2, IMAP_LIST_RECURSIVEMATCH = 4, IMAP_LIST_SPECIAL_USE = 8 };
enum imap_list_return { IMAP_LIST_RETURN_SUBSCRIBED = 1, IMAP_LIST_RETURN_CHILDREN = 2, IMAP_LIST_RETURN_SPECIAL_USE = 4,
    IMAP_LIST_RETURN_STATUS = 8, IMAP_LIST_RETURN_MYRIGHTS = 16, IMAP_LIST_RETURN_METADATA = 32 };
enum imap_status { IMAP_STATUS_MESSAGES = 1, IMAP_STATUS_RECENT = 2, IMAP_STATUS_UIDNEXT = 4, IMAP_STATUS_UIDVALIDITY = 8,
    IMAP_STATUS_UNSEEN = 16, IMAP_STATUS_DELETED = 32, IMAP_STATUS_SIZE = 64, IMAP_STATUS_HIGHESTMODSEQ = 128,
    IMAP_STATUS_MAILBOXID = 256, IMAP_STATUS_APPENDLIMIT = 512, IMAP_STATUS_DELETED_STORAGE = 1024 };
struct imap_list {
    bool extended; /* anything of RFC 5258 was used */
    unsigned select, returns, status;
    struct str reference;
    struct str *patterns;
    size_t pattern_count;
    struct str *metadata; /* entries of RETURN (METADATA (...)) */
    size_t metadata_count;
};

/* ---- SELECT, EXAMINE (RFC 7162) ---- */
struct imap_select {
    struct str mailbox;
    bool condstore, qresync;
    uint32_t uidvalidity;
    uint64_t modseq;
    struct imap_set known_uids; /* n 0: none given */
    struct imap_set match_sequences, match_uids;
};

struct imap_mailbox {
    struct str name, to;    /* to: RENAME; the identifier of LISTRIGHTS, SETACL, DELETEACL */
    struct str text;        /* the rights of SETACL */
    struct str *special;    /* CREATE name (USE (...)) */
    size_t special_count;
};
struct imap_status_of {
    struct str mailbox;
    unsigned items; /* enum imap_status */
};
struct imap_copy {
    struct imap_set set;
    struct str mailbox;
};
/* ---- GETMETADATA, SETMETADATA (RFC 5464) ---- */
enum { IMAP_ENTRY_NAME_MAX = 255, IMAP_ENTRIES_MAX = 1000 };
enum { IMAP_FIELDS_MAX = 1000 }; /* names in one list of header fields */
enum { IMAP_PATTERNS_MAX = 200 }; /* of one LIST */
enum imap_depth { IMAP_DEPTH_NONE, IMAP_DEPTH_ONE, IMAP_DEPTH_ALL };
struct imap_entry {
    struct str name;  /* "/shared/comment", in small letters */
    struct str value; /* SETMETADATA; .p NULL: NIL */
};
struct imap_metadata {
    struct str mailbox; /* empty: the server */
    bool has_maxsize;
    uint64_t maxsize;
    enum imap_depth depth;
    struct imap_entry *entries;
    size_t n;
};
/* A flat list: names of ENABLE; field, value, field, value of ID (.p NULL for NIL); resource, limit of SETQUOTA. */
struct imap_words {
    struct str name;
    struct str *words;
    size_t n;
};
struct imap_login {
    struct str mechanism, initial; /* AUTHENTICATE */
    bool has_initial;
    struct str user, password;     /* LOGIN */
};

struct imap_command {
    struct str tag;
    enum imap_verb verb;
    bool uid; /* UID FETCH ... */
    struct str written; /* the first mailbox name as the client wrote it (UTF-8), when that is not its name; .p NULL: it is */
    bool normalized;    /* one of its mailbox names was so */
    union { /* by verb */
        struct imap_select select; /* SELECT, EXAMINE */
        struct imap_list list;
        struct imap_fetch fetch;
        struct imap_store store;
        struct imap_search search; /* SEARCH, SORT, THREAD */
        struct imap_mailbox mailbox; /* CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, GETQUOTA, GETQUOTAROOT, MYRIGHTS, GETACL ... */
        struct imap_status_of status;
        struct imap_metadata metadata;
        struct imap_copy copy;     /* COPY, MOVE, EXPUNGE */
        struct imap_words words;   /* ENABLE, COMPRESS, ID, SETQUOTA, ... */
        struct imap_login login;   /* LOGIN, AUTHENTICATE */
        struct str text;           /* APPEND, REPLACE, NOTIFY: what stands behind the verb */
    };
};

/* False: *why says what is wrong in words for the client ("Unknown command", "Sequence set expected"), the tag is set
 * when there was one. */
bool imap_command_parse(struct str text, bool utf8, struct arena *arena, struct imap_command *command, const char **why);
/* A tag is what stands before the first blank: printable, without + ( { " *, at most IMAP_TAG_MAX bytes. */
bool imap_tag_is_valid(struct str tag);
/* Looks no further than the verb: for a command whose literals are still to come. */
bool imap_command_verb(struct str text, struct str *tag, bool *uid, enum imap_verb *verb, struct str *rest);
const char *imap_verb_name(enum imap_verb verb);
unsigned imap_verb_states(enum imap_verb verb);
