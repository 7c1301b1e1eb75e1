/* Who else may use the folders of an account, and how (RFC 4314; schema/mailbox/0007.sql). What changes it needs an open transaction.
 *
 * The rights of somebody are those that the entries for him and for anyone give together, without those that negative entries for him
 * or for anyone take. The owner has all, whatever stands here. Where `anyone` is false, what entries for anyone give has no effect, and what
 * they take has. */
#pragma once
#include "store_folder.h"

enum acl_right {
    ACL_LOOKUP = 1 << 0,  /* l */
    ACL_READ = 1 << 1,    /* r */
    ACL_SEEN = 1 << 2,    /* s */
    ACL_WRITE = 1 << 3,   /* w: flags but \Seen and \Deleted */
    ACL_INSERT = 1 << 4,  /* i */
    ACL_POST = 1 << 5,    /* p: kept, not used */
    ACL_CREATE = 1 << 6,  /* k */
    ACL_DELETE = 1 << 7,  /* x: the mailbox */
    ACL_TO_DELETE = 1 << 8, /* t: the flag \Deleted */
    ACL_EXPUNGE = 1 << 9, /* e */
    ACL_ADMIN = 1 << 10,  /* a */
    ACL_ALL = (1 << 11) - 1,
};
enum { ACL_ANYONE = 0, ACL_ENTRIES_MAX = 200 };

struct acl_entry {
    int64_t grantee;
    bool negative;
    unsigned rights; /* enum acl_right */
};

/* As letters: "lrs", and "c" and "d" where clients of RFC 2086 want them. */
void acl_write_rights(struct buf *out, unsigned rights);
/* The other way round, "c" being "kx" and "d" being "et". False: one of them is no right. */
MUST_CHECK bool acl_read_rights(struct str text, unsigned *rights);
/* '+', '-' or '=' of a change. */
unsigned acl_change(unsigned was, char how, unsigned rights);

/* What this account may do, which is not the owner. */
MUST_CHECK bool store_acl_rights(struct store *s, const struct folder *f, int64_t account, bool anyone, unsigned *rights, struct err *err);
/* The same of every folder above that number that has entries for him, by rising number. `tell` says false to stop. */
typedef bool store_acl_folder_fn(void *arg, int64_t folder, unsigned rights);
MUST_CHECK bool store_acl_folders(struct store *s, int64_t account, bool anyone, int64_t above, store_acl_folder_fn *tell, void *arg, struct err *err);
/* The entries of a folder, at most ACL_ENTRIES_MAX. */
MUST_CHECK bool store_acl_list(struct store *s, const struct folder *f, struct acl_entry entries[ACL_ENTRIES_MAX], size_t *n,
    struct err *err);
/* rights 0: there is none. */
MUST_CHECK bool store_acl_get(struct store *s, const struct folder *f, struct acl_entry *entry, struct err *err);
MUST_CHECK bool store_acl_set(struct store *s, const struct folder *f, const struct acl_entry *entry, struct err *err);
/* The second, new, gets what the first has. */
MUST_CHECK bool store_acl_copy(struct store *s, const struct folder *from, const struct folder *to, struct err *err);
/* Everybody who is granted something somewhere; whether that one is. */
typedef void store_grantee_fn(void *arg, int64_t grantee);
MUST_CHECK bool store_acl_grantees(struct store *s, store_grantee_fn *tell, void *arg, struct err *err);
MUST_CHECK bool store_acl_has(struct store *s, int64_t grantee, bool *has, struct err *err);
/* Nothing is granted to him any more: his account is gone. */
MUST_CHECK bool store_acl_forget(struct store *s, int64_t grantee, struct err *err);
