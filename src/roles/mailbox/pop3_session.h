/* POP3 as a protocol of session.h: joins the machine of pop3.h to an account's database. */
#pragma once
#include "session.h"

extern const struct protocol pop3_protocol;
