/* Two IMAP clients of the account of imap_world.h while a disk is recorded (disk.h): one that changes things at random,
 * and one that watches INBOX and remembers what it was told, with the place on the tape where it was told. */
#pragma once
#include "cut.h"
#include "imap_state.h"

enum { IMAP_WORKER = 0, IMAP_WATCHER = 1 };

/* Both, if they are not there. Nothing may fail meanwhile. */
void imap_clients_open(void);
/* One command of the worker, a delivery, or work that nobody asked for. *done: the place of the tape where it was answered;
 * SIZE_MAX: it was not, or with NO. */
void imap_client_work(size_t *done);

/* A new tape; the memory goes. */
void imap_memory_forget(void);
/* What the watcher was told later was told to nobody; what is left has the place 0. */
void imap_memory_forget_after(size_t at);
/* A watcher with the memory it had at that place comes back: after what QRESYNC tells it, it must know INBOX as it is. Ends
 * the program when it does not. */
void imap_memory_check(size_t at);
