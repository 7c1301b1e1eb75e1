/* A layer over SQLite's own file system under which every page of a database file ends with a checksum of its bytes and
 * its place: 8 bytes that SQLite is told to leave alone. Bytes changed on disk, or a page in the place of another, are
 * found when the page is read (SQLITE_CORRUPT); a file without checksums reads as damaged. The log has checksums of
 * SQLite's own, looked at when it is opened. A page that is whole but old is not found: that would be a lost write. */
#pragma once

enum { SQLITE_CHECKED_BYTES = 8 };

/* The name to open a database with; the layer lies over that of sqlite_gather.h. */
const char *sqlite_checked_vfs(void);
