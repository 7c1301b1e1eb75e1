/* What was found out about mail of strangers, told to events, which reports it to the owners of their domains (RFC 9990).
 *
 * A message counts when it was taken (250 of queue) or refused for what was found; not when its transaction came to nothing,
 * because it will come again. Who has no address for reports in his record (rua) is told nothing. */
#pragma once
#include "ipc/teller.h"
#include "judge.h"

struct verdict;

struct tally {
    struct teller teller;
    char name[40]; /* of this process: its numbers begin anew */
};

/* The domain of the recipients, while it is one. */
struct tally_rcpts {
    char domain[DNS_NAME_TEXT];
    bool several;
};

void tally_init(struct tally *t, unsigned copy);
void tally_rcpt(struct tally_rcpts *rcpts, struct str address);
/* Nothing, where no reports are wanted. */
void tally_message(struct tally *t, uint64_t message, const struct judge *j, const struct verdict *v, const struct tally_rcpts *rcpts);
void tally_turn(struct tally *t, struct channel *events);
void tally_peer_up(struct tally *t);
void tally_acknowledged(struct tally *t, uint64_t seq);
