/* Files in places that belong to somebody else. Import and export are done by root, mostly, and in the folders of users: what a user
 * puts there may not make root read what the user may not, or write where the user may not. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Whose files may be read below a place. */
struct files_owner {
    bool only; /* `uid`: we are root, and the place belongs to somebody else */
    uid_t uid;
};
struct files_owner files_owner_of(const char *place);
/* Of a file that is open. Links lead anywhere, its owner does not change. */
bool files_may_read(struct files_owner owner, const struct stat *about);

/* A file to be read, or written: neither a link, nor a pipe, on which one would wait, nor a device. -1: errno says why. */
int files_open(const char *path);
int files_open_to_write(const char *path); /* made if need be */
/* An empty file of that name; what was there goes, and is not written to. -1: errno says why. */
int files_create(const char *path);
/* A directory, made if need be; a link to one is none (ELOOP). */
bool files_make_directory(const char *path);
/* ERR_LIMIT when it is because of the name of a folder (another one may be written), else ERR_TEMPORARY. False. */
bool files_failed(struct err *err, const char *path);
/* Writes PLACE/NAME with the names of subscribed folders, as Dovecot has them: whole and on disk, or what was there stays. */
bool files_write_subscriptions(const char *place, const char *name, const struct str *names, size_t n, struct err *err);
