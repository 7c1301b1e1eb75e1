#include "shared_world.h"

#include <stdio.h>

void shared_world_open(const char *name)
{
    imap_world_open(name);
    client_open(0);
    client_open_as(1, ANN);
    client_open_as(2, BOB);
}

void owner_grants(const char *mailbox, const char *who, const char *rights)
{
    char text[200];

    snprintf(text, sizeof text, "g SETACL %s %s %s\r\n", mailbox, who, rights);
    client_expect(0, text, "g OK Done\r\n");
}
