/* What the two parts of the relay's world know of each other: relay_world.c plays the peers, relay_servers.c the
 * servers of the internet and the connections to them. */
#pragma once
#include "relay_world.h"

enum { CONNS_MAX = 400 };

void servers_begin(void);
/* Each connection does one step; true when something happened. */
bool servers_turn(void);
/* Nothing may be open any more. */
void servers_end(void);
