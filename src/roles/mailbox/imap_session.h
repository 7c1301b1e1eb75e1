/* The IMAP protocol of a session: see imap.h. */
#pragma once
#include "session.h"

extern const struct protocol imap_protocol;
