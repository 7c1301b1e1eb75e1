/* A layer over SQLite's own file system in which the pages of a commit go to the log (-wal) in one write instead of two for
 * each page. What SQLite has written is gathered while it is one piece, and is in the file before the write that ends
 * the commit returns, before the log is read, synced, cut or measured. So whoever may see a commit finds its bytes in
 * the file, and the failure of a write is told to the commit it belongs to. */
#pragma once

/* The name to open a database with; the layer lies over what is the default file system at the first call. */
const char *sqlite_gather_vfs(void);
