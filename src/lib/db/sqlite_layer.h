/* What a layer over SQLite's file system has in common with every other: a file behind its own struct, and calls passed on. */
#pragma once
#include <sqlite3.h>
#include <stddef.h>

/* The first member of a layer's own struct; the file below lies behind that struct. */
struct layer_file {
    sqlite3_file base;
    sqlite3_file *real;
};

/* Every call passed on: a layer copies it and puts its own in place. */
extern const sqlite3_io_methods sqlite_layer_methods;

sqlite3_file *sqlite_layer_real(sqlite3_file *f);
/* Opens the file below behind f, whose own struct takes `size` bytes. */
int sqlite_layer_open(sqlite3_vfs *below, sqlite3_filename name, sqlite3_file *f, size_t size, int flags, int *out,
    const sqlite3_io_methods *methods);
/* Registers *layer, a copy of `below` with another name and another way to open. */
void sqlite_layer_register(sqlite3_vfs *layer, sqlite3_vfs *below, const char *name, size_t size,
    int (*open)(sqlite3_vfs *, sqlite3_filename, sqlite3_file *, int, int *));
