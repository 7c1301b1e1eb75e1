/* Commands about what others see of the server: setup, dns, certificate, check. */
#pragma once
#include "cli/rows.h"
#include "outside/gather.h"

/* By the name of the command. */
int outside_run(const struct cli *cli, const char *command, const struct verb_call *call, struct rows *rows);

int setup_command(const struct cli *cli, const struct verb_call *call, struct rows *rows);
int certificate_command(const struct cli *cli, const struct verb_call *call, struct rows *rows);
int dns_command(const struct cli *cli, const struct verb_call *call, struct rows *rows);
int check_command(const struct cli *cli, const struct verb_call *call, struct rows *rows);

/* The facts about a domain, from the configuration, its files, and directory. config must outlive them. The exit code, with a message; then
 * there is nothing to end. */
int facts_of_domain(const struct cli *cli, const struct config *config, struct str domain, struct outside_gather *g);
/* Prints the records: as lines of a zone, or as rows. */
int dns_print(const struct outside_facts *facts, bool table, struct str name_server, struct rows *rows);

/* The public addresses of this machine's interfaces. */
size_t machine_addresses(struct ip *out, size_t room);
/* Can it be reached from elsewhere: no loopback, link-local, private, documentation or shared address? */
bool machine_is_public(const struct ip *ip);
