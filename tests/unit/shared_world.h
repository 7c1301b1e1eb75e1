/* Mailboxes that are shared, for tests: client 0 is r, the owner, 1 is ann, 2 is bob, each with a session and nothing selected. */
#pragma once
#include "imap_world.h"

enum { R = IMAP_WORLD_ACCOUNT, ANN, BOB, EVE, SLASH };
/* How the others say the name of a mailbox of r: OF_R "Sent\"". */
#define OF_R "\"Other Users/r@home.example/"

void shared_world_open(const char *name);
void owner_grants(const char *mailbox, const char *who, const char *rights);
