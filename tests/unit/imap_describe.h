/* A parsed IMAP command as text, for tests and the fuzz target: every field that was set stands in it. */
#pragma once
#include "imap/append.h"

void describe_command(struct buf *out, const struct imap_command *c);
void describe_set(struct buf *out, const struct imap_set *set);
void describe_flags(struct buf *out, const struct imap_flags *flags);
