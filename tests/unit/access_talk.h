/* What is said to the access role by clients, directory and mailbox, and what they must have heard. */
#pragma once
#include "access_world.h"

int access_setup(void **state);
int access_teardown(void **state);
/* What the client has received so far, exactly. */
void hears(int client, const char *expected);
/* The same of what directory and mailbox were sent (see world_asked). */
void asked(const char *expected);
void say(int client, const char *text);
void directory_says(enum auth_result result, uint64_t account, unsigned rights);
void mailbox_says(const char *text);
